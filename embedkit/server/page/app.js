// The page's beginning: the model, the frame, and the view that the address names.

import { onUnauthorised, servedModel } from "./api.js";
import { askForToken } from "./asking.js";
import { fill, h } from "./dom.js";
import { frame, sections } from "./frame.js";
import { speakOfWords, t } from "./language.js";
import { area, note } from "./parts.js";
import { address, parse } from "./route.js";
import * as analogy from "./views/analogy.js";
import * as map from "./views/map.js";
import * as recommend from "./views/recommend.js";
import * as search from "./views/search.js";
import * as similar from "./views/similar.js";

const VIEWS = { "": search, recommend, similar, analogy, map };

let model = null;
let shown = null; // {name, view}
const page = frame(() => draw({ afresh: true, keep: "select" }));

/** Show what the address names; a view that stays is only told of its new address. */
function draw({ afresh = false, keep = null } = {}) {
  const route = parse(location.hash);
  if (model === null) return page.draw(null, route.view);
  const known = Object.hasOwn(VIEWS, route.view) && (route.view === "" || sections(model).includes(route.view));
  page.draw(model, route.view);
  if (!known) {
    leave();
    const why = t(route.view === "recommend" ? "noKeys" : "unknownPage");
    fill(
      page.main,
      h(
        "div",
        { class: "view narrow" },
        h("h1", { tabindex: "-1" }, t("failed")),
        note(why),
        h("p", {}, h("a", { href: address("") }, t("toStart"))),
      ),
    );
  } else if (afresh || shown?.name !== route.view) {
    leave();
    shown = { name: route.view, view: VIEWS[route.view].create(model) };
    fill(page.main, shown.view.element);
  }
  shown?.view.show(route);
  document.title = [known && route.args.join(" · "), known && route.view && t(route.view), "embedkit"]
    .filter(Boolean)
    .join(" · ");
  if (keep) document.querySelector(`header ${keep}`).focus();
}

function leave() {
  shown?.view.leave?.();
  shown = null;
}

/** After a move to another place, the focus goes to its heading, unless it stands where it still makes sense. */
function arrive() {
  draw();
  const focused = document.activeElement;
  if (focused && page.main.contains(focused)) return;
  const heading = page.main.querySelector("h1");
  if (focused === document.body || focused?.closest("header")) heading?.focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

function begin() {
  window.addEventListener("hashchange", arrive);
  draw();
}

onUnauthorised(askForToken);
page.draw(null, parse(location.hash).view);
const waiting = area();
fill(page.main, waiting.element);
waiting.show(
  (signal) => servedModel({ signal }),
  (answer) => {
    model = answer;
    speakOfWords(model.words);
    queueMicrotask(begin);
  },
);
