// The groups of a map: numbered for the drawing, named beside it.

import { h, name } from "../dom.js";
import { t } from "../language.js";

/** Groups given as a name for each point, "" for none, as numbers and their names: `{ids, names}`. */
export function numbered(groups, n) {
  const names = [...new Set(groups)].filter((each) => each !== "");
  const numbers = new Map(names.map((each, number) => [each, number]));
  return { ids: Array.from({ length: n }, (_, point) => numbers.get(groups[point]) ?? -1), names };
}

/** Buttons that show one group alone, each with its colour; a second press shows all again. */
export function groupLegend(names, map) {
  if (names.length < 2) return null;
  const buttons = names.map((each, group) => {
    const button = h(
      "button",
      { type: "button", class: "group-name", "aria-pressed": "false" },
      h("span", { class: "swatch", vars: { colour: map.colours[group] }, "aria-hidden": "true" }),
      name(each),
    );
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      for (const other of buttons) other.setAttribute("aria-pressed", String(on && other === button));
      map.only(on ? group : null);
    });
    return button;
  });
  return h(
    "ul",
    { class: "groups", "aria-label": t("mapGroups") },
    buttons.map((button) => h("li", {}, button)),
  );
}
