// What stands around every view: the skip link, the brand, the sections, the choice of a language.

import { fill, h } from "./dom.js";
import { language, languages, setLanguage, t } from "./language.js";
import { liveRegion } from "./parts.js";
import { address } from "./route.js";

/** Build the page's frame into the body; `onLanguage()` is called when another language is chosen. */
export function frame(onLanguage) {
  const main = h("main", { id: "content", tabindex: "-1" });
  const header = h("header", { class: "top" });
  const skip = h("a", { class: "skip", href: "#content" });
  skip.addEventListener("click", (event) => {
    event.preventDefault(); // the address belongs to the views
    (main.querySelector("h1") ?? main).focus();
  });
  document.body.append(skip, header, main, liveRegion());

  function draw(model, view) {
    document.documentElement.lang = language();
    skip.textContent = t("skip");
    fill(
      header,
      h(
        "a",
        { class: "brand", href: address(""), "aria-label": t("home"), "aria-current": view === "" && "page" },
        h("img", { src: "page/icon.svg", alt: "", width: "28", height: "28" }),
        h("span", {}, "embedkit"),
      ),
      h(
        "nav",
        { "aria-label": t("sections") },
        h(
          "ul",
          {},
          sections(model).map((section) =>
            h("li", {}, h("a", { href: address(section), "aria-current": view === section && "page" }, t(section))),
          ),
        ),
      ),
      languageChoice(onLanguage),
    );
  }

  return { main, draw };
}

/** The sections that this model has something to show in. */
export const sections = (model) => (model?.keys ? ["recommend"] : []).concat("similar", "analogy", "map");

function languageChoice(onLanguage) {
  const select = h(
    "select",
    { "aria-label": t("languageChoice") },
    languages().map(([code, own]) => h("option", { value: code, lang: code, selected: code === language() }, own)),
  );
  select.addEventListener("change", () => {
    setLanguage(select.value);
    onLanguage();
  });
  return h("div", { class: "languages" }, select);
}
