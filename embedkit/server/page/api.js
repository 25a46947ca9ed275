// The server's answers. A 401 asks for the access token once, however many requests wait for it.

const KEY = "embedkit.token";
const NOT_YET = 202; // an answer that is still being made

/** What went wrong: `status` 0 where the server did not answer at all, `retryAfter` in seconds where it said so. */
export class ApiError extends Error {
  constructor(status, message, retryAfter = null) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

let ask = null; // (refused: boolean) => Promise<string>
let asking = null;
let token = stored();

function stored() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

/** Say how to ask a person for the access token. */
export function onUnauthorised(handler) {
  ask = handler;
}

/** GET an answer; `parameters` is a list of pairs, those without a value left out. */
export function get(path, parameters = [], options = {}) {
  const query = new URLSearchParams(parameters.filter(([, value]) => value !== null && value !== undefined)).toString();
  return request(`api/${path}${query ? `?${query}` : ""}`, options);
}

/** POST a question too long for an address. */
export function post(path, body, options = {}) {
  const headers = { "Content-Type": "application/json" };
  return request(`api/${path}`, { ...options, method: "POST", headers, body: JSON.stringify(body) });
}

/**
 * What model is served. It is /health that is asked: who has no token is told that without a refusal, which a browser
 * would report as an error.
 */
export async function servedModel(options) {
  for (;;) {
    const used = token;
    const { model } = await request("health", options);
    if (model) return model;
    if (token === used) await renew(used !== null);
  }
}

async function request(url, options) {
  for (;;) {
    const used = token;
    const response = await send(url, options, used);
    const body = await response.json().catch(() => null);
    if (response.status === 401) {
      if (token === used) await renew(used !== null);
      options.signal?.throwIfAborted();
      continue;
    }
    if (response.ok && response.status !== NOT_YET && body !== null) return body;
    throw failure(response, body);
  }
}

async function send(url, options, bearer) {
  const headers = { Accept: "application/json", ...options.headers };
  if (bearer !== null) headers.Authorization = `Bearer ${bearer}`;
  try {
    return await fetch(url, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "");
  }
}

function failure(response, body) {
  const wait = Number(body?.retry_after ?? response.headers.get("Retry-After"));
  const message = typeof body?.error === "string" ? body.error : `HTTP ${response.status}`;
  return new ApiError(response.status, message, Number.isFinite(wait) && wait > 0 ? wait : null);
}

async function renew(refused) {
  asking ??= ask(refused).finally(() => (asking = null));
  token = await asking;
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    // it serves until the page is left
  }
}
