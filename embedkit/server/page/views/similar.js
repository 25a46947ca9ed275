// The neighbours of an item.

import { get } from "../api.js";
import { combobox } from "../combobox.js";
import { h, name } from "../dom.js";
import { t } from "../language.js";
import { announce, area, called, chips, FIRST, more, ranking } from "../parts.js";
import { address, go } from "../route.js";
import { frequent, searching } from "../searching.js";

export function create(model) {
  const field = combobox({
    label: t("similarPick"),
    hint: t("searchHint"),
    search: searching(model, ["token"]),
    choose: (option) => go(address("similar", [option.id])),
  });
  const results = area();
  const element = h(
    "div",
    { class: "view narrow" },
    h("h1", { tabindex: "-1" }, t("similarTitle")),
    h("p", { class: "lead" }, t("similarLead")),
    field.element,
    results.element,
  );

  function show({ args: [token] }, topn = FIRST) {
    if (token === undefined) {
      field.set("");
      results.show(
        () => frequent(model, "token"),
        (things) => chips(t("suggestions"), things, (thing) => address("similar", [thing.token])),
      );
      return;
    }
    if (field.input.value === "") field.set(token);
    const work = (signal) =>
      get(
        "similar",
        [
          ["token", token],
          ["topn", topn],
        ],
        { signal },
      );
    results.show(work, (answer) => found(answer, token, topn));
  }

  function found(answer, token, topn) {
    const thing = { token, label: answer.label };
    if (document.activeElement !== field.input) field.set(called(thing));
    announce(`${t("similarTo", { name: called(thing) })}. ${t("results", { count: answer.results.length })}`);
    return [
      h(
        "div",
        { class: "heading" },
        h("h2", {}, named("similarTo", called(thing))),
        h(
          "p",
          { class: "links" },
          h("a", { href: address("map", [token]) }, t("onMap")),
          model.keys > 0 && h("a", { href: address("recommend", [], [["add", token]]) }, t("recommendFrom")),
        ),
      ),
      ranking(answer.results),
      more(answer.results, topn, (next) => show({ args: [token] }, next)),
    ];
  }

  return { element, show };
}

/** A sentence about something named, the name set apart. */
export function named(key, text) {
  const [before, after] = t(key, { name: "\u0000" }).split("\u0000");
  return [before, h("strong", {}, name(text)), after];
}
