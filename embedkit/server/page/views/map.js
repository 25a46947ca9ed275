// The map: all items on a plane, the neighbours of one, a user's history and recommendations.

import { get } from "../api.js";
import { combobox } from "../combobox.js";
import { fill, h, icon, name } from "../dom.js";
import { t } from "../language.js";
import { announce, area, called, note, ranking, titled } from "../parts.js";
import { address, go } from "../route.js";
import { searching } from "../searching.js";
import { groupLegend, numbered } from "./groups.js";
import { recommended } from "./recommending.js";

const POINTS = 20000;
const NEAR = 10;

let plane = null; // what /api/map answered: asked for once

export function create(model) {
  const gone = new AbortController();
  const drawing = { map: null, places: new Map(), marks: {}, sight: [] };
  let route = null;

  const field = combobox({
    label: t("mapPick"),
    hint: t("searchHint"),
    search: searching(model, ["token"]),
    choose: (option) => pick(option.id),
  });
  const canvas = h("canvas", { tabindex: "0", role: "img" });
  const stage = area({ class: "area stage" });
  const side = area({ class: "area side" });
  const element = h(
    "div",
    { class: "view" },
    h("h1", { tabindex: "-1" }, t("mapTitle")),
    h("p", { class: "lead" }, t("mapLead")),
    h("div", { class: "atlas" }, stage.element, h("section", { class: "panel" }, field.element, side.element)),
  );

  const pick = (token) => go(address("map", token === null ? [] : [token], [...route.query]));

  async function begin() {
    let MapView;
    await stage.show(
      async () => {
        [plane, { MapView }] = await Promise.all([planeOf(gone.signal, wait), import("../map.js")]);
      },
      () => [h("div", { class: "frame" }, canvas, zooming(drawing)), h("p", { class: "caption" }, caption())],
    );
    if (gone.signal.aborted || MapView === undefined) return;
    draw(MapView);
  }

  function wait() {
    stage.ready();
    fill(stage.element, h("p", { class: "note", role: "status" }, t("mapMaking")));
  }

  function caption() {
    const count = plane.tokens.length;
    return t(count < model.tokens ? "mapPart" : "mapOf", { count, method: plane.method.toUpperCase() });
  }

  /** The canvas stands in the page by now: its size and its colours are known. */
  function draw(MapView) {
    const { points, tokens, labels } = plane;
    const groups = numbered(plane.groups ?? [], tokens.length);
    canvas.setAttribute("aria-label", t("mapCanvas", { count: tokens.length }));
    drawing.places = new Map(tokens.map((token, point) => [token, point]));
    drawing.map = new MapView(canvas, { ...points, labels, groups: groups.ids });
    stage.element.append(...[groupLegend(groups.names, drawing.map)].filter(Boolean));
    drawing.map.onSelect = (point) => pick(point < 0 ? null : tokens[point]);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener(
      "change",
      () => {
        drawing.map.refresh();
        mark(drawing, canvas);
      },
      { signal: gone.signal },
    );
    mark(drawing, canvas);
  }

  function show(to) {
    route = to;
    if (drawing.map === null && !stage.element.hasChildNodes()) begin();
    const [token] = to.args;
    const asked = {
      key: to.query.get("key"),
      added: to.query.getAll("add"),
      dropped: to.query.getAll("drop"),
      seen: false,
    };
    const someone = asked.key !== null || asked.added.length > 0;
    if (token !== undefined) {
      if (field.input.value === "") field.set(token);
      side.show(
        (signal) =>
          get(
            "similar",
            [
              ["token", token],
              ["topn", NEAR],
            ],
            { signal },
          ),
        (found) => near(found, someone),
      );
    } else if (someone) {
      field.set("");
      side.show(
        (signal) => recommended(asked, NEAR, signal),
        (found) => user(asked, found),
      );
    } else {
      field.set("");
      put({}, []);
      side.put(note(t("mapEmpty")));
    }
  }

  function put(marks, sight) {
    Object.assign(drawing, { marks, sight });
    mark(drawing, canvas);
  }

  function near({ token, label, results }, someone) {
    const thing = { token, label };
    const { history, recommended: stars } = someone ? drawing.marks : {};
    if (document.activeElement !== field.input) field.set(called(thing));
    put({ token, near: results, history, recommended: stars }, [thing, ...results]);
    announce(`${t("similarTo", { name: called(thing) })}. ${t("results", { count: results.length })}`);
    return [
      h("h2", {}, titled(thing)),
      plane && !plane.tokens.includes(token) && note(t("mapMissing", { name: called(thing) })),
      h(
        "p",
        { class: "links" },
        h("a", { href: address("similar", [token]) }, t("similar")),
        someone && h("a", { href: address("map", [], [...route.query]) }, t("mapBack")),
      ),
      ranking(results, { to: (result) => address("map", [result.token], [...route.query]) }),
    ];
  }

  function user({ key }, { history, results, fallback }) {
    const heading = key === null ? t("history") : t("mapUser", { name: key });
    put({ history, recommended: results ?? [] }, [...history, ...(results ?? [])]);
    announce(heading);
    return [
      h("h2", {}, name(heading)),
      fallback && note(t("fallback")),
      h(
        "ul",
        { class: "legend" },
        h("li", { class: "of-history" }, t("mapHistory")),
        h("li", { class: "of-recommended" }, t("mapRecommended")),
      ),
      h(
        "p",
        { class: "links" },
        h(
          "a",
          {
            href: address(
              "recommend",
              key === null ? [] : [key],
              [...route.query].filter(([each]) => each !== "key"),
            ),
          },
          t("mapWhy"),
        ),
      ),
      ranking(results ?? [], {
        full: Math.max(...(results ?? []).map((result) => result.score), 0),
        to: (result) => address("map", [result.token], [...route.query]),
      }),
    ];
  }

  function leave() {
    gone.abort();
    drawing.map?.destroy();
  }

  return { element, show, leave };
}

/** Draw what the panel tells, once both it and the map are there. */
function mark(drawing, canvas) {
  const { map, places, marks, sight } = drawing;
  if (map === null) return;
  const points = (things) =>
    (things ?? []).map((thing) => places.get(thing.token)).filter((point) => point !== undefined);
  const colour = (property) => getComputedStyle(canvas).getPropertyValue(property).trim();
  const paths = marks.history && [
    { points: points(marks.history), colour: colour("--map-history"), joined: true },
    { points: points(marks.recommended), colour: colour("--map-accent"), shape: "star" },
  ];
  map.mark({ chosen: places.get(marks.token), near: points(marks.near), paths });
  if (sight.length > 0) map.show(points(sight));
  drawing.sight = [];
}

function zooming(drawing) {
  const button = (label, drawn, act) =>
    h("button", { type: "button", "aria-label": t(label), title: t(label), on: { click: act } }, icon(drawn));
  return h(
    "div",
    { class: "zoom" },
    button("mapIn", "plus", () => drawing.map.zoom(1.6)),
    button("mapOut", "minus", () => drawing.map.zoom(1 / 1.6)),
    button("mapAll", "whole", () => drawing.map.show()),
  );
}

/** The map's points; while the server makes them, `wait()` is called and it is asked again. */
async function planeOf(signal, wait) {
  for (;;) {
    if (plane !== null) return plane;
    try {
      return await get("map", [["limit", POINTS]], { signal });
    } catch (error) {
      if (!error.retryAfter || ![202, 503].includes(error.status)) throw error;
      wait();
      await new Promise((resolve) => setTimeout(resolve, 1000 * error.retryAfter));
      signal.throwIfAborted();
    }
  }
}
