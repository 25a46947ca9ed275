// The history beside the recommendations: what is in it, what to add, what to drop.

import { combobox } from "../combobox.js";
import { fill, h, icon, name } from "../dom.js";
import { language, t } from "../language.js";
import { called } from "../parts.js";
import { address } from "../route.js";
import { searching } from "../searching.js";
import { foreseen } from "./recommending.js";

const SHOWN = matchMedia("(max-width: 60rem)").matches ? 4 : 12; // beside or above the recommendations

/**
 * The panel of a history. `draw(items, asked)` shows one, `expect(asked)` what an edit will make of it before the server
 * has answered; `know(things)` tells it names; `light(because)` shows what each item adds to a score.
 */
export function historyPanel(model, { add, drop, reset }) {
  const labels = new Map();
  let items = [];
  let all = false;
  let whose = null;
  let drawn = ""; // what the list shows: the same is not drawn again, so that nobody clicks on what has just been replaced

  const adder = combobox({
    label: t("historyAdd"),
    hint: t("searchHint"),
    clears: true,
    search: searching(model, ["token"], (id) => holds(id)),
    choose: (option) => {
      labels.set(option.id, option.label ?? option.id);
      add(option.id, option.label);
    },
  });
  const title = h("h2", {}, t("history"));
  const edited = h("div", { class: "edited" });
  const list = h("div");
  const element = h("section", { class: "panel" }, title, edited, adder.element, list);

  const holds = (token) => items.some((item) => item.token === token);

  function expect(asked) {
    if (asked.key !== whose) [whose, all] = [asked.key, false];
    const next = foreseen(asked);
    if (next !== null)
      draw(
        next.map((item) => ({ ...item, label: item.label ?? labels.get(item.token) })),
        asked,
      );
  }

  function know(things) {
    for (const thing of things) labels.set(thing.token, called(thing));
  }

  function draw(next, asked) {
    items = next;
    know(items);
    const wanted = JSON.stringify([
      all,
      asked.key,
      asked.added.length + asked.dropped.length,
      ...items.map((item) => [item.token, called(item), item.added]),
    ]);
    if (wanted === drawn) return;
    drawn = wanted;
    const latest = merged(items);
    fill(title, t("history"), h("span", { class: "count" }, t("historyOf", { count: latest.length })));
    const changed = asked.key !== null && asked.added.length + asked.dropped.length > 0;
    fill(
      edited,
      changed && [
        h("p", {}, t("historyEdited")),
        h("button", { type: "button", class: "button", on: { click: reset } }, icon("again"), t("historyReset")),
      ],
    );
    const place = [...list.querySelectorAll(".round")].indexOf(document.activeElement);
    fill(
      list,
      latest.length > 0 && h("ul", { class: "history" }, latest.slice(0, all ? undefined : SHOWN).map(row)),
      whole(latest, asked),
    );
    if (place >= 0) refocus(place);
  }

  /** Whoever drops with the keyboard goes on from where the dropped item stood. */
  function refocus(place) {
    const buttons = list.querySelectorAll(".round");
    (buttons[Math.min(place, buttons.length - 1)] ?? adder.input).focus();
  }

  function whole(latest, asked) {
    if (all || latest.length <= SHOWN) return null;
    const button = h("button", { type: "button", class: "button more" }, t("historyAll", { count: latest.length }));
    button.addEventListener("click", () => {
      all = true;
      draw(items, asked);
      list.querySelectorAll(".round")[SHOWN].focus();
    });
    return button;
  }

  function row(item) {
    const label = called(item);
    const button = h(
      "button",
      { type: "button", class: "round", "aria-label": t("historyDrop", { name: label }) },
      icon("close"),
    );
    button.addEventListener("click", () => drop(item.token, label));
    return h(
      "li",
      { "data-token": item.token },
      h(
        "div",
        { class: "what" },
        h("a", { class: "title", href: address("similar", [item.token]) }, name(label)),
        item.times > 1 && h("span", { class: "count" }, `× ${item.times}`),
        item.added && h("span", { class: "badge new" }, t("historyNew")),
        item.time && h("time", { class: "id", datetime: item.time }, day(item.time)),
      ),
      button,
      h("span", { class: "bar", "aria-hidden": "true" }),
    );
  }

  function light(because) {
    const largest = Math.max(...because.map((reason) => reason.score), 0);
    for (const reason of because) {
      const line = [...list.querySelectorAll("li")].find((each) => each.dataset.token === reason.token);
      if (line && reason.score > 0) line.style.setProperty("--share", (reason.score / largest).toFixed(3));
    }
  }

  function dim() {
    for (const line of list.querySelectorAll("li")) line.style.removeProperty("--share");
  }

  return { element, expect, draw, know, light, dim, holds };
}

/** Each item once, the latest first. */
function merged(items) {
  const met = new Map();
  for (const item of items.toReversed()) {
    const first = met.get(item.token);
    if (first) first.times += 1;
    else met.set(item.token, { ...item, times: 1 });
  }
  return [...met.values()];
}

const day = (time) =>
  new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeZone: "UTC" }).format(new Date(time));
