// Elements from plain descriptions. Text goes in as text nodes only, so that no label can become markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element. `attributes` may hold `on` (listeners by event), `vars` (CSS custom properties) and plain
 * attributes, left out where false or null. Children are nodes, texts or lists of them; null and false are skipped.
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === "vars")
      for (const [key, each] of Object.entries(value)) element.style.setProperty(`--${key}`, each);
    else if (value !== false && value !== null && value !== undefined)
      element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...kept(children));
  return element;
}

/** Replace all that an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...kept(children));
  return element;
}

function kept(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

/** A text of strangers, kept from turning the direction of what stands around it. */
export const name = (text) => h("bdi", {}, text);

const PATHS = {
  close: "M6 6 18 18M18 6 6 18",
  plus: "M12 5V19M5 12H19",
  minus: "M5 12H19",
  whole: "M4 9V4H9M15 4H20V9M20 15V20H15M9 20H4V15",
  search: "M10.5 4a6.500 6.500 0 1 0 0 13a6.500 6.500 0 0 0 0-13ZM15.500 15.500 20 20",
  again: "M19 12a7 7 0 1 1-2.200-5.100M19 4V8H15",
};

/** A line drawing for a button whose name is given elsewhere. */
export function icon(which) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "icon");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[which]);
  svg.append(path);
  return svg;
}
