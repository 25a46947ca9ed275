// The start: search everything, names to begin with, what the model is.

import { combobox } from "../combobox.js";
import { h, name } from "../dom.js";
import { language, number, t } from "../language.js";
import { area, chips } from "../parts.js";
import { address, go } from "../route.js";
import { frequent, searching } from "../searching.js";

const where = (option) => address(option.kind === "key" ? "recommend" : "similar", [option.id]);

export function create(model) {
  const kinds = model.keys ? ["token", "key"] : ["token"];
  const starts = area();
  const field = combobox({
    label: t("search"),
    hint: t("searchHint"),
    large: true,
    search: searching(model, kinds),
    choose: (option) => go(where(option)),
  });
  const lead = t(model.keys ? "searchLeadKeys" : "searchLead", {
    tokens: model.tokens,
    keys: model.keys,
    size: model.vector_size,
  });
  const element = h(
    "div",
    { class: "view start" },
    h(
      "div",
      { class: "hero" },
      h("h1", { tabindex: "-1" }, t("searchTitle")),
      h("p", { class: "lead" }, lead),
      field.element,
    ),
    starts.element,
    facts(model),
  );

  function show() {
    starts.show(
      () => Promise.all(kinds.map((kind) => frequent(model, kind))),
      ([items, users = []]) =>
        h(
          "div",
          { class: "columns even" },
          chips(t("frequentItems"), items, (thing) => address("similar", [thing.token])),
          chips(t("someUsers"), users, (thing) => address("recommend", [thing.key])),
        ),
    );
  }

  return { element, show };
}

function facts(model) {
  const rows = [
    ["model", model.name],
    ["trainer", model.trainer],
    ["items", number(model.tokens)],
    ["users", model.keys ? number(model.keys) : null],
    ["vectorSize", number(model.vector_size)],
    ["version", written(model.version)],
  ];
  return h(
    "dl",
    { class: "facts" },
    rows
      .filter(([, value]) => value)
      .map(([key, value]) => h("div", {}, h("dt", {}, t(key)), h("dd", {}, name(String(value))))),
  );
}

/** A version that is a moment is written the language's way. */
function written(version) {
  const moment = /^\d{4}-\d\d-\d\dT/.test(version ?? "") ? new Date(version) : null;
  if (moment === null || Number.isNaN(moment.getTime())) return version;
  return new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeStyle: "short" }).format(moment);
}
