// Recommendations to a user or to a history that is put together here, and why.

import { combobox } from "../combobox.js";
import { h, icon, name } from "../dom.js";
import { number, score, t } from "../language.js";
import { announce, area, called, chips, FIRST, more, note, ranking } from "../parts.js";
import { address, go } from "../route.js";
import { frequent, searching } from "../searching.js";
import { historyPanel } from "./history.js";
import { named } from "./similar.js";
import { recommended } from "./recommending.js";

export function create(model) {
  let asked = null; // {key, added, dropped, seen}: what the address says
  let said = ""; // what was done, told together with what came of it
  let before = null; // {key, ranks}: the last answer, to tell what has changed

  const picker = combobox({
    label: t("recommendPick"),
    hint: t("searchHint"),
    search: searching(model, ["key"]),
    choose: (option) => go(address("recommend", [option.id])),
  });
  const results = area();
  const starts = area();
  const panel = historyPanel(model, {
    add,
    drop,
    reset: () => go(address("recommend", asked.key === null ? [] : [asked.key])),
  });
  const seen = h("input", { type: "checkbox", id: "seen" });
  seen.addEventListener("change", () => edit({ seen: seen.checked }));
  const element = h(
    "div",
    { class: "view" },
    h("h1", { tabindex: "-1" }, t("recommendTitle")),
    h("p", { class: "lead" }, t("recommendLead")),
    h(
      "div",
      { class: "columns" },
      h(
        "div",
        { class: "stack" },
        picker.element,
        panel.element,
        h("p", { class: "check" }, seen, h("label", { for: "seen" }, t("seen"))),
      ),
      h("section", { class: "stack" }, starts.element, results.element),
    ),
  );

  function show({ args: [key = null], query }, topn = FIRST) {
    asked = { key, added: query.getAll("add"), dropped: query.getAll("drop"), seen: query.get("seen") === "1" };
    seen.checked = asked.seen;
    if (key !== null || asked.added.length) starts.put();
    else
      starts.show(
        () => frequent(model, "key"),
        (users) => chips(t("someUsers"), users, (user) => address("recommend", [user.key])),
      );
    if (document.activeElement !== picker.input) picker.set(key);
    panel.expect(asked);
    results.show(
      (signal) => recommended(asked, topn, signal).catch(refused),
      (answer) => found(answer, topn),
    );
  }

  /** What cannot be recommended from is shown all the same, so that the item at fault can be dropped. */
  function refused(error) {
    panel.expect(asked);
    throw error;
  }

  function found(answer, topn) {
    panel.draw(answer.history, asked);
    const done = said;
    said = "";
    if (answer.results === null) {
      before = null;
      announce(`${done} ${t("historyEmpty")}`);
      return note(t("historyEmpty"));
    }
    panel.know(answer.results);
    const heading = asked.key === null ? t("recommendFromHistory") : named("recommendFor", asked.key);
    const moved = changes(answer.results);
    const told = t(asked.key === null ? "recommendFromHistory" : "recommendFor", { name: asked.key });
    announce(`${done} ${told}. ${t("results", { count: answer.results.length })}`);
    const full = Math.max(...answer.results.map((result) => result.score), 0);
    return [
      h(
        "div",
        { class: "heading" },
        h("h2", {}, heading),
        !answer.fallback &&
          h(
            "p",
            { class: "links" },
            h("a", { href: address("map", [], [["key", asked.key], ...settings(asked)]) }, t("onMap")),
          ),
      ),
      answer.fallback && note(t("fallback")),
      answer.unexplained && note(t("unexplained")),
      answer.latest > 0 && note(t("latest", { count: answer.latest })),
      ranking(answer.results, { full, row: (result) => row(result, moved) }),
      more(answer.results, topn, (next) =>
        show({ args: asked.key === null ? [] : [asked.key], query: settings(asked) }, next),
      ),
    ];
  }

  function row(result, moved) {
    const button = h(
      "button",
      { type: "button", class: "round", "aria-label": t("addToHistory", { name: called(result) }) },
      icon("plus"),
    );
    button.addEventListener("click", () => add(result.token, called(result)));
    const light = () => panel.light(result.because ?? []);
    return {
      badge: moved.get(result.token),
      below: result.because?.length > 0 && reasons(result.because),
      action: asked.added.includes(result.token) || panel.holds(result.token) ? h("span", { class: "round" }) : button,
      on: { pointerenter: light, focusin: light, pointerleave: panel.dim, focusout: panel.dim },
    };
  }

  /** Badges for results that have come or moved since the last answer to the same user. */
  function changes(list) {
    const ranks = new Map(list.map((result, place) => [result.token, place]));
    const badges = new Map();
    if (before !== null && before.key === asked.key && before.edits !== edits(asked)) {
      for (const [token, place] of ranks) badges.set(token, badge(before.ranks.get(token), place));
    }
    before = { key: asked.key, edits: edits(asked), ranks };
    return badges;
  }

  function add(token, label = token) {
    said = t("historyAdded", { name: label });
    if (asked.dropped.includes(token)) edit({ dropped: asked.dropped.filter((each) => each !== token) });
    else if (!asked.added.includes(token)) edit({ added: [...asked.added, token] });
  }

  function drop(token, label) {
    said = t("historyDropped", { name: label });
    const added = asked.added.filter((each) => each !== token);
    edit(added.length < asked.added.length ? { added } : { dropped: [...asked.dropped, token] });
  }

  function edit(change) {
    const next = { ...asked, ...change };
    go(address("recommend", next.key === null ? [] : [next.key], [...settings(next)]));
  }

  return { element, show };
}

const edits = ({ added, dropped }) => JSON.stringify([added, dropped]);

function settings({ added, dropped, seen }) {
  return new URLSearchParams([
    ...added.map((token) => ["add", token]),
    ...dropped.map((token) => ["drop", token]),
    ...(seen ? [["seen", "1"]] : []),
  ]);
}

function badge(was, is) {
  if (was === undefined) return h("span", { class: "badge new" }, t("isNew"));
  if (was === is) return null;
  const [key, sign] = was > is ? ["up", "▲"] : ["down", "▼"];
  const count = Math.abs(was - is);
  return h(
    "span",
    { class: `badge ${key}` },
    h("span", { "aria-hidden": "true" }, `${sign} ${number(count)}`),
    h("span", { class: "unseen" }, t(key, { count })),
  );
}

/** The items of the history that carry a score: the first in a line, all of them when it is opened. */
function reasons(because) {
  const largest = Math.max(...because.map((reason) => Math.abs(reason.score)));
  const [before, after] = t("because", { names: "\u0000" }).split("\u0000");
  const names = because.slice(0, 3).map((reason, place) => [place > 0 && ", ", name(called(reason))]);
  return h(
    "details",
    { class: "why" },
    h("summary", {}, h("span", {}, before, names, after)),
    h("p", { class: "small" }, t("becauseList")),
    h(
      "ul",
      {},
      because.map((reason) =>
        h(
          "li",
          { vars: { share: (Math.abs(reason.score) / largest || 0).toFixed(3) } },
          h("span", { class: "title" }, name(called(reason))),
          h("span", { class: "score" }, score(reason.score)),
          h("span", { class: reason.score < 0 ? "bar against" : "bar", "aria-hidden": "true" }),
        ),
      ),
    ),
  );
}
