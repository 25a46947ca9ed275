// Analogies: A is to B as C is to what?

import { get, post } from "../api.js";
import { combobox } from "../combobox.js";
import { h, name } from "../dom.js";
import { t } from "../language.js";
import { announce, area, called, FIRST, more, note, ranking } from "../parts.js";
import { address, go } from "../route.js";
import { searching } from "../searching.js";

export function create(model) {
  const picked = [null, null, null];
  const results = area();
  const fields = ["analogyA", "analogyB", "analogyC"].map((key, place) =>
    combobox({
      label: t(key),
      hint: t("searchHint"),
      search: searching(model, ["token"]),
      choose: (option) => pick(place, option.id),
    }),
  );
  const element = h(
    "div",
    { class: "view narrow" },
    h("h1", { tabindex: "-1" }, t("analogyTitle")),
    h("p", { class: "lead" }, t("analogyLead")),
    h(
      "div",
      { class: "proportion" },
      fields.map((field) => field.element),
    ),
    results.element,
  );

  function pick(place, id) {
    picked[place] = id;
    const missing = picked.indexOf(null);
    if (missing < 0) go(address("analogy", picked));
    else fields[missing].input.focus();
  }

  function show({ args }, topn = FIRST) {
    if (args.length < 3) {
      picked.fill(null);
      fields.forEach((field) => field.set(""));
      return void results.put(note(t("analogyEmpty")));
    }
    picked.splice(0, 3, ...args);
    fields.forEach((field, place) => field.input.value === "" && field.set(args[place]));
    results.show(
      (signal) => solve(picked, topn, signal),
      ({ names, found }) => {
        const [a, b, c] = names;
        fields.forEach((field, place) => field.set(names[place]));
        announce(`${t("analogyOf", { a, b, c })} ${t("results", { count: found.length })}`);
        return [
          h("h2", {}, name(t("analogyOf", { a, b, c }))),
          ranking(found),
          more(found, topn, (next) => show({ args }, next)),
        ];
      },
    );
  }

  return { element, show };
}

/** The answers, and what the three are called. */
async function solve([a, b, c], topn, signal) {
  const [answer, asked] = await Promise.all([
    get(
      "analogy",
      [
        ["a", a],
        ["b", b],
        ["c", c],
        ["topn", topn],
      ],
      { signal },
    ),
    post("similar", { tokens: [a, b, c], topn: 1 }, { signal }),
  ]);
  return { names: asked.results.map(called), found: answer.results };
}
