// Addresses of the page: `#/recommend/user42?drop=a&add=b` is a view, its arguments and its settings.

/** The route an address names: `{view, args, query}`; view "" is the start. */
export function parse(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [view = "", ...args] = path.split("/").map(decoded);
  return { view, args: args.filter((each) => each !== ""), query: new URLSearchParams(query) };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a lone % is itself
  }
}

/** The address of a view; `query` is a list of pairs, those without a value left out. */
export function address(view, args = [], query = []) {
  const path = [view, ...args].map(encodeURIComponent).join("/");
  const settings = new URLSearchParams(query.filter(([, value]) => value !== null && value !== undefined)).toString();
  return `#/${path}${settings ? `?${settings}` : ""}`;
}

/** Go to an address. */
export function go(to) {
  location.hash = to;
}
