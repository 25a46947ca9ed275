// What the server recommends to a user, to a user whose history was edited, or to a history of nobody.

import { ApiError, get, post } from "../api.js";

const LONGEST = 1000; // the server takes lists of this length; the latest items go
const SHOWN = 10000; // of a longer history the server tells the latest items

let known = { key: null, history: [] };

/**
 * Recommend to what an address says: `{key, added, dropped, seen}`. The answer has the `history` as it was used (oldest
 * first), `results` (null where there is nothing to go by), `fallback`, `unexplained` (no reasons can be given), and
 * `latest`: how many items were used where the history is longer than the server takes.
 */
export async function recommended(asked, topn, signal) {
  const { key, added, dropped, seen } = asked;
  if (key !== null && added.length + dropped.length === 0) {
    const parameters = [
      ["key", key],
      ["topn", topn],
      ["include_seen", seen],
      ["explain", true],
      ["fallback", "popular"],
    ];
    const answer = await get("recommend", parameters, { signal });
    const history = answer.fallback ? [] : await historyOf(key, signal);
    return { history, results: answer.results, fallback: answer.fallback, unexplained: "note" in answer };
  }
  const base = key === null ? [] : await historyOf(key, signal);
  const kept = base.filter((item) => !dropped.includes(item.token));
  const history = [...kept.map((item) => item.token), ...added];
  if (history.length === 0) return { history: [], results: null };
  const used = history.slice(-LONGEST);
  const body = { histories: [used], topn, include_seen: seen, explain: true };
  const [answer] = (await post("recommend", body, { signal })).results;
  const latest = answer.history.slice(added.length ? -added.length : answer.history.length);
  const names = new Map(latest.map((item) => [item.token, item.label]));
  const more = added.map((token) => ({ token, label: names.get(token) ?? token, added: true }));
  return {
    history: [...kept, ...more],
    results: answer.results,
    latest: used.length < history.length ? used.length : 0,
    unexplained: "note" in answer,
  };
}

/** A user's history, oldest first; empty where the server knows of none. */
async function historyOf(key, signal) {
  if (known.key !== key) {
    const parameters = [
      ["key", key],
      ["limit", SHOWN],
    ];
    const answer = await get("history", parameters, { signal }).catch((error) => {
      if (error instanceof ApiError && error.status === 404) return { history: [] };
      throw error;
    });
    known = { key, history: answer.history };
  }
  return known.history;
}

/** The history of a key that was asked for before, with what an edit makes of it; null where it is not known yet. */
export function foreseen({ key, added, dropped }) {
  if (key !== null && known.key !== key) return null;
  const base = key === null ? [] : known.history;
  return [
    ...base.filter((item) => !dropped.includes(item.token)),
    ...added.map((token) => ({ token, label: null, added: true })),
  ];
}
