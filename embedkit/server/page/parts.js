// What the views share: announcements, areas that load, ranked lists, chips.

import { fill, h, icon, name } from "./dom.js";
import { number, score, t } from "./language.js";
import { address } from "./route.js";

const PATIENCE = 150; // ms before an area says that it is loading: an answer sooner than that needs no word
const STEPS = [10, 30, 100];

const voice = h("p", { class: "unseen", role: "status", "aria-live": "polite" });

/** The live region; it stands in the page once. */
export const liveRegion = () => voice;

/** Tell those who do not see the page what changed on it. */
export function announce(text) {
  voice.textContent = "";
  setTimeout(() => (voice.textContent = text), 60);
}

/** What to call an item or a user. */
export const called = (thing) => thing.label || thing.token || thing.key;

/** The name of a thing, with its id where that is another. */
export function titled(thing, to = null) {
  const id = thing.token ?? thing.key;
  const text = called(thing);
  return [
    to ? h("a", { class: "title", href: to }, name(text)) : h("span", { class: "title" }, name(text)),
    text !== id && h("span", { class: "id" }, name(id)),
  ];
}

/**
 * An area that shows the answer to one question at a time: `show(work, render)` calls `work(signal)`, then puts what
 * `render(answer)` gives; a later question ends an earlier one. A failure is shown with a way to try again.
 */
export function area(attributes = {}) {
  const element = h("div", { class: "area", ...attributes });
  let current = null;

  async function show(work, render) {
    current?.abort();
    const mine = (current = new AbortController());
    const timer = setTimeout(() => wait(element), PATIENCE);
    element.setAttribute("aria-busy", "true");
    try {
      const answer = await work(mine.signal);
      if (mine === current) fill(element, render(answer));
    } catch (error) {
      if (mine !== current || error.name === "AbortError") return;
      fill(
        element,
        failed(error, () => show(work, render)),
      );
    } finally {
      clearTimeout(timer);
      if (mine === current) ready();
    }
  }

  function put(...children) {
    current?.abort();
    current = null;
    ready();
    fill(element, ...children);
  }

  function ready() {
    element.removeAttribute("aria-busy");
    element.classList.remove("late");
  }

  return { element, show, put, ready };
}

function wait(element) {
  element.classList.add("late");
  if (element.childElementCount === 0 || element.querySelector(".note")) {
    fill(
      element,
      h("p", { class: "unseen" }, t("loading")),
      h(
        "div",
        { class: "skeleton", "aria-hidden": "true" },
        Array.from({ length: 5 }, () => h("span")),
      ),
    );
  }
}

/** A failure, in words; the server's own are English. What was asked wrongly is not asked again. */
export function failed(error, again) {
  if (!("status" in error)) console.error(error);
  const ours = { 0: "unreachable", 429: "busy" }[error.status];
  const final = error.status >= 400 && error.status < 500 && error.status !== 429 && error.status !== 408;
  return h(
    "div",
    { class: "note failure", role: "alert" },
    h("h2", {}, t("failed")),
    ours
      ? h("p", {}, t(ours))
      : h("p", { lang: "en" }, name(error.message.replace(/^[a-z]/, (first) => first.toUpperCase()))),
    !final && h("button", { type: "button", class: "button", on: { click: again } }, icon("again"), t("retry")),
  );
}

/** A quiet sentence where there is nothing else to show. */
export const note = (text) => h("p", { class: "note" }, text);

/** Links to begin with; `to(thing)` is where each leads. */
export function chips(heading, things, to) {
  return (
    things.length > 0 &&
    h(
      "section",
      { class: "chips" },
      h("h2", { class: "small" }, heading),
      h(
        "ul",
        {},
        things.map((thing) => h("li", {}, h("a", { class: "chip", href: to(thing) }, name(called(thing))))),
      ),
    )
  );
}

const neighbours = (result) => address("similar", [result.token]);

/**
 * A ranked list with a bar for each score, measured against `full`; `to(result)` is where a name leads, and
 * `row(result, place)` gives what else a row shows: `{badge, below, action, on}`.
 */
export function ranking(results, { full = 1, to = neighbours, row = () => ({}) } = {}) {
  if (results.length === 0) return note(t("nothing"));
  return h(
    "ol",
    { class: "ranking" },
    results.map((result, place) => {
      const { badge, below, action, on = {} } = row(result, place);
      const share = full > 0 ? Math.min(1, Math.max(0, result.score / full)) : 0;
      return h(
        "li",
        { class: action ? "result" : "result plain", vars: { share: share.toFixed(3) }, on },
        h("span", { class: "rank", "aria-hidden": "true" }, number(place + 1)),
        h("div", { class: "what" }, titled(result, to(result)), badge),
        h("span", { class: "score" }, score(result.score)),
        action ?? null,
        h("span", { class: "bar", "aria-hidden": "true" }),
        below && h("div", { class: "below" }, below),
      );
    }),
  );
}

/** A button for more results, where there may be more; `again(topn)` asks for them. */
export function more(results, topn, again) {
  const next = STEPS.find((step) => step > topn);
  if (next === undefined || results.length < topn) return null;
  return h("button", { type: "button", class: "button more", on: { click: () => again(next) } }, t("more"));
}

/** How many results a list begins with. */
export const FIRST = STEPS[0];
