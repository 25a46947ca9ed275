// A field that searches while one types: the combobox with a list box of the ARIA practices, chosen by hand.

import { fill, h, icon, name } from "./dom.js";
import { t } from "./language.js";
import { announce } from "./parts.js";

const PAUSE = 110; // ms without a keystroke before the server is asked

let made = 0;

/**
 * Make a combobox. `search(text, signal)` gives the options, `{id, label, detail, group}`; with an empty text, what to
 * suggest. `choose(option)` is called with an option, or with `{id: text}` where the text matches none. With `clears`,
 * the field is emptied by a choice.
 */
export function combobox({ label, hint, search, choose, clears = false, large = false }) {
  const id = `combobox-${++made}`;
  const input = h("input", {
    id,
    type: "text",
    role: "combobox",
    autocomplete: "off",
    autocapitalize: "none",
    spellcheck: "false",
    placeholder: hint,
    "aria-autocomplete": "list",
    "aria-expanded": "false",
    "aria-controls": `${id}-list`,
  });
  const list = h("div", { id: `${id}-list`, role: "listbox", class: "options", "aria-label": label, hidden: true });
  const empty = h("p", { class: "options none", hidden: true }, t("noneFound"));
  const element = h(
    "div",
    { class: large ? "field large" : "field" },
    h("label", { for: id }, label),
    h("div", { class: "entry" }, icon("search"), input, list, empty),
  );

  let options = [];
  let active = -1;
  let timer = null;
  let pending = null;
  let answered = null; // the text that `options` answer

  function close() {
    clearTimeout(timer);
    pending?.abort();
    list.hidden = empty.hidden = true;
    input.setAttribute("aria-expanded", "false");
    mark(-1);
  }

  function mark(place) {
    active = place;
    const rows = [...list.querySelectorAll("[role=option]")];
    rows.forEach((row, each) => row.setAttribute("aria-selected", String(each === place)));
    if (place < 0) input.removeAttribute("aria-activedescendant");
    else {
      input.setAttribute("aria-activedescendant", rows[place].id);
      rows[place].scrollIntoView({ block: "nearest" });
    }
  }

  async function ask() {
    pending?.abort();
    const mine = (pending = new AbortController());
    const text = input.value.trim();
    try {
      const found = await search(text, mine.signal);
      if (mine !== pending || mine.signal.aborted || document.activeElement !== input) return;
      options = found;
      answered = text;
      open(text);
    } catch (error) {
      if (error.name !== "AbortError" && mine === pending) close();
    }
  }

  function open(text) {
    mark(-1);
    fill(list, grouped(options, id, text));
    list.hidden = options.length === 0;
    empty.hidden = options.length > 0 || text === "";
    input.setAttribute("aria-expanded", String(!list.hidden));
    if (text !== "") announce(options.length ? t("found", { count: options.length }) : t("noneFound"));
  }

  function accept(option) {
    if (option === undefined || option.id === "") return;
    close();
    input.value = clears ? "" : (option.label ?? option.id);
    choose(option);
  }

  async function enter() {
    if (active >= 0) return accept(options[active]);
    const text = input.value.trim();
    if (text === "") return undefined;
    if (answered !== text) {
      clearTimeout(timer);
      await ask();
    }
    if (input.value.trim() !== text) return undefined;
    const exact = answered === text && options.find((each) => each.id === text || each.label === text);
    return accept(exact || (answered === text && options[0]) || { id: text });
  }

  function move(step) {
    if (list.hidden) ask();
    else mark((active + step + options.length + (active < 0 && step < 0 ? 1 : 0)) % options.length);
  }

  const keys = {
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    Enter: () => enter(),
    Escape: () => (list.hidden && empty.hidden ? (input.value = "") : close()),
  };
  input.addEventListener("keydown", (event) => {
    if (event.isComposing || !(event.key in keys)) return; // while a Korean syllable is put together, keys belong to it
    event.preventDefault();
    keys[event.key]();
  });
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE);
  });
  input.addEventListener("focus", () => input.select());
  input.addEventListener("click", () => list.hidden && ask());
  input.addEventListener("blur", close);
  list.addEventListener("mousedown", (event) => event.preventDefault()); // the field keeps the focus
  list.addEventListener("click", (event) => {
    const row = event.target.closest("[role=option]");
    if (row) accept(options[Number(row.dataset.place)]);
  });

  return { element, input, set: (text) => (input.value = text ?? "") };
}

function grouped(options, id, text) {
  const groups = new Map();
  options.forEach((option, place) => {
    if (!groups.has(option.group)) groups.set(option.group, []);
    groups.get(option.group).push(optionRow(option, place, id, text));
  });
  return [...groups].map(([group, rows]) =>
    group === undefined
      ? rows
      : h(
          "div",
          { role: "group", "aria-label": group },
          h("div", { class: "group", "aria-hidden": "true" }, group),
          rows,
        ),
  );
}

function optionRow(option, place, id, text) {
  const shown = option.label ?? option.id;
  return h(
    "div",
    { role: "option", id: `${id}-${place}`, "aria-selected": "false", "data-place": String(place) },
    h("bdi", { class: "title" }, marked(shown, text)),
    shown !== option.id && h("span", { class: "id" }, name(option.id)),
    option.detail && h("span", { class: "detail" }, option.detail),
  );
}

function marked(shown, text) {
  const lower = shown.toLowerCase();
  const at = text === "" || lower.length !== shown.length ? -1 : lower.indexOf(text.toLowerCase());
  if (at < 0) return shown;
  return [shown.slice(0, at), h("mark", {}, shown.slice(at, at + text.length)), shown.slice(at + text.length)];
}
