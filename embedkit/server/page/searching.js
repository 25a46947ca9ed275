// What the search fields ask the server, and the frequent names that they suggest before a letter is typed.

import { get } from "./api.js";
import { t } from "./language.js";

const EACH = 8;
const BEYOND = 50; // as many words of a language, the most frequent, say little
const asked = new Map();

/** The search of a combobox over "token", "key" or both; `without(id)` leaves an option out. */
export function searching(model, kinds, without = () => false) {
  return async (text, signal) => {
    const lists = await Promise.all(
      kinds.map(async (kind) => {
        const things = text === "" ? await frequent(model, kind) : await found(text, kind, signal);
        return things.map((thing) => option(thing, kind, kinds.length > 1)).filter((each) => !without(each.id));
      }),
    );
    return lists.flat();
  };
}

/** Items that are met often, or the users with the longest histories; asked for once. */
export function frequent(model, kind) {
  if (!asked.has(kind)) {
    const answer = found("", kind, undefined, EACH + (model.keys ? 0 : BEYOND)).then((things) => things.slice(-EACH));
    answer.catch(() => asked.delete(kind));
    asked.set(kind, answer);
  }
  return asked.get(kind);
}

async function found(text, kind, signal, topn = EACH) {
  return (
    await get(
      "search",
      [
        ["q", text],
        ["kind", kind],
        ["topn", topn],
      ],
      { signal },
    )
  ).results;
}

function option(thing, kind, groups) {
  const count = thing.count ?? null;
  return {
    id: thing[kind],
    label: thing.label || thing[kind],
    kind,
    group: groups ? t(kind === "key" ? "users" : "items") : undefined,
    detail: count === null ? null : t(kind === "key" ? "historySize" : "timesSeen", { count }),
  };
}
