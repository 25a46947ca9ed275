/** The page around a map in a file of its own: search, neighbours, keys with what they had and are recommended. */
import { MapView } from "./map.js";
import { numbers, text } from "./unpack.js";

const ENGLISH = {
  search: "Search the map",
  keys: "Show a key",
  noKey: "No key",
  closer: "Zoom in",
  farther: "Zoom out",
  whole: "Show everything",
  map: (n) => `Map of ${n} points. Arrow keys pan, plus and minus zoom, 0 shows everything, Enter takes the middle.`,
  hint: "Point at something to see what is nearest to it; tap or click to keep it.",
  neighbours: "Nearest in the full space",
  history: "History, oldest first",
  recommended: "Recommended, best first",
  groups: "Groups",
  rest: "other",
  nothing: "Nothing found",
  note: (n, method) => `${n} points, ${method}. Distances on a map mislead; the list of neighbours and its cosines are those of the full space, among these points.`,
  failed: "This browser cannot read the map: it lacks DecompressionStream. A newer one can.",
};
const KOREAN = {
  search: "지도에서 찾기",
  keys: "사용자 보기",
  noKey: "사용자 없음",
  closer: "확대",
  farther: "축소",
  whole: "전체 보기",
  map: (n) => `점 ${n}개의 지도. 화살표로 이동, 더하기와 빼기로 확대·축소, 0은 전체 보기, Enter는 가운데 점 선택.`,
  hint: "점을 가리키면 가장 가까운 것들이 보입니다. 누르면 그대로 남습니다.",
  neighbours: "원래 공간에서 가장 가까운 것",
  history: "이력 (오래된 순)",
  recommended: "추천 (좋은 순)",
  groups: "그룹",
  rest: "기타",
  nothing: "찾은 것이 없습니다",
  note: (n, method) => `점 ${n}개, ${method}. 지도 위의 거리는 어림일 뿐입니다. 이웃 목록과 코사인은 이 점들 사이에서 원래 공간으로 잰 것입니다.`,
  failed: "이 브라우저는 DecompressionStream을 지원하지 않아 지도를 읽을 수 없습니다. 최신 브라우저로 열어 주세요.",
};
const FOUND = 12;

const words = navigator.language?.startsWith("ko") ? KOREAN : ENGLISH;
const get = (id) => document.getElementById(id);
const count = (n) => n.toLocaleString(navigator.language);

async function start() {
  document.documentElement.lang = words === KOREAN ? "ko" : "en";
  const packed = JSON.parse(get("data").textContent);
  const [facts, x, y, groups, ids, hundredths] = await Promise.all([
    text(packed.text),
    numbers(packed.x),
    numbers(packed.y),
    numbers(packed.groups),
    numbers(packed.neighbours),
    numbers(packed.cosines),
  ]);
  const page = new Page(facts, { x, y, groups, ids, hundredths });
  page.begin();
  document.documentElement.dataset.ready = "yes";
  window.page = page; // for who looks at it from a console or a test
}

class Page {
  constructor(facts, arrays) {
    Object.assign(this, facts, arrays); // tokens, labels, names, rest, colours, keys, method, aspect; ids, ...
    this.labels ??= this.tokens;
    this.k = this.ids.length / this.tokens.length;
    this.chosen = -1;
    this.key = null;
    const y = Float32Array.from(this.y, (value) => value * this.aspect);
    this.view = new MapView(get("map"), { x: this.x, y, labels: this.labels, groups: this.groups, colours: this.colours });
  }

  begin() {
    const { view } = this;
    view.onHover = (i) => this.look(i < 0 ? this.chosen : i);
    view.onSelect = (i) => this.choose(i);
    this.search = new Search(get("search"), get("found"), this);
    for (const [id, act] of [["closer", () => view.zoom(1.6)], ["farther", () => view.zoom(1 / 1.6)], ["whole", () => view.show()]]) {
      get(id).ariaLabel = get(id).title = words[id];
      get(id).addEventListener("click", act);
    }
    get("map").ariaLabel = words.map(count(this.tokens.length));
    get("note").textContent = words.note(count(this.tokens.length), this.method);
    this.offerKeys();
    this.drawLegend();
    this.look(-1);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      view.refresh();
      this.look(this.chosen);
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "/" && document.activeElement !== get("search")) {
        event.preventDefault();
        get("search").focus();
      }
    });
  }

  neighbours(i) {
    return i < 0 ? [] : [...this.ids.subarray(i * this.k, (i + 1) * this.k)];
  }

  /** Keep a point, or none, as what is looked at while the pointer is elsewhere. */
  choose(i, move = false) {
    this.chosen = i;
    this.look(i);
    if (move && i >= 0) this.view.show([i, ...this.neighbours(i)]);
  }

  look(i) {
    const near = this.neighbours(i);
    this.view.mark({ chosen: i, near, paths: this.paths() });
    const about = get("about");
    about.replaceChildren();
    if (i >= 0) about.append(...this.described(i, near));
    else if (this.key) about.append(element("h2", this.key.key));
    else about.append(element("p", words.hint));
    if (this.key && i < 0) {
      about.append(element("h3", words.recommended), this.listed(this.key.recommended));
      about.append(element("h3", words.history), this.listed(this.key.history));
    }
  }

  described(i, near) {
    // Differences between one cosine and the next were kept, which are smaller numbers.
    let hundredths = 0;
    const cosines = near.map((_, place) => (hundredths += this.hundredths[i * this.k + place]) / 100);
    const group = this.groups[i] < this.names.length ? this.names[this.groups[i]] : this.rest;
    const facts = [this.tokens[i] === this.labels[i] ? "" : this.tokens[i], group].filter(Boolean);
    const parts = [element("h2", this.labels[i]), ...facts.map((fact) => element("p", fact))];
    return [...parts, element("h3", words.neighbours), this.listed(near, cosines)];
  }

  /** A list of points as buttons that lead to them. */
  listed(points, values = null) {
    const list = document.createElement("ol");
    points.forEach((i, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(element("span", this.labels[i]));
      if (values) button.append(element("span", values[place].toFixed(2), "number"));
      button.addEventListener("click", () => this.choose(i, true));
      const item = document.createElement("li");
      item.append(button);
      list.append(item);
    });
    return list;
  }

  paths() {
    if (!this.key) return [];
    const style = getComputedStyle(document.documentElement);
    return [
      { points: this.key.history, colour: style.color, joined: true },
      { points: this.key.recommended, colour: style.getPropertyValue("--accent").trim(), shape: "star" },
    ];
  }

  offerKeys() {
    const select = get("key");
    if (!this.keys.length) return;
    select.hidden = false;
    select.ariaLabel = words.keys;
    select.append(new Option(words.noKey, ""), ...this.keys.map(({ key }, place) => new Option(key, place)));
    select.addEventListener("change", () => {
      this.key = this.keys[select.value] ?? null;
      this.choose(-1);
      this.view.show(this.key ? [...this.key.history, ...this.key.recommended] : null);
    });
    select.value = "0";
    this.key = this.keys[0];
  }

  drawLegend() {
    const names = this.rest ? [...this.names, this.rest] : this.names;
    if (names.length < 2) return;
    const list = document.createElement("ul");
    names.forEach((name, place) => {
      const group = place < this.names.length ? place : -1;
      const button = document.createElement("button");
      button.type = "button";
      button.ariaPressed = "false";
      button.append(swatch(this.colours[group] ?? getComputedStyle(document.documentElement).getPropertyValue("--muted")));
      button.append(element("span", name));
      button.addEventListener("click", () => {
        const on = button.ariaPressed !== "true";
        for (const other of list.querySelectorAll("button")) other.ariaPressed = "false";
        button.ariaPressed = String(on);
        this.view.only(on ? group : null);
      });
      const item = document.createElement("li");
      item.append(button);
      list.append(item);
    });
    get("legend").append(element("h3", words.groups), list);
  }
}

/** A field that finds as one types: names that begin so, then names that hold it, the important ones first. */
class Search {
  constructor(input, list, page) {
    Object.assign(this, { input, list, page, at: -1, found: [] });
    input.placeholder = input.ariaLabel = words.search;
    input.addEventListener("input", () => this.offer());
    input.addEventListener("keydown", (event) => this.key(event));
    input.addEventListener("blur", () => setTimeout(() => this.close(), 150));
    input.addEventListener("focus", () => this.offer());
    list.addEventListener("pointerdown", (event) => event.preventDefault());
  }

  /** Places of the points whose label or token holds the query. */
  find(query) {
    this.folded ??= this.page.labels.map((label, i) => folded(label === this.page.tokens[i] ? label : `${label}\n${this.page.tokens[i]}`));
    const wanted = folded(query.trim());
    const first = [];
    const later = [];
    for (let i = 0; wanted && i < this.folded.length && first.length < FOUND; i++) {
      const place = this.folded[i].indexOf(wanted);
      if (place === 0 || (place > 0 && this.folded[i][place - 1] === "\n")) first.push(i);
      else if (place > 0 && later.length < FOUND) later.push(i);
    }
    return [...first, ...later].slice(0, FOUND);
  }

  offer() {
    const query = this.input.value;
    this.found = this.find(query);
    this.at = this.found.length ? 0 : -1;
    const items = this.found.map((i) => this.page.labels[i]);
    if (!items.length && query.trim()) items.push(words.nothing);
    this.list.replaceChildren(
      ...items.map((name, place) => {
        const item = element("li", name);
        item.id = `found-${place}`;
        item.role = "option";
        item.addEventListener("click", () => this.take(place));
        return item;
      }),
    );
    this.list.hidden = !items.length;
    this.show();
  }

  show() {
    this.input.ariaExpanded = String(!this.list.hidden);
    [...this.list.children].forEach((item, place) => (item.ariaSelected = String(place === this.at)));
    if (this.at < 0) this.input.removeAttribute("aria-activedescendant");
    else this.input.setAttribute("aria-activedescendant", `found-${this.at}`);
    this.list.children[this.at]?.scrollIntoView({ block: "nearest" });
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && this.found.length) {
      this.at = (this.at + step + this.found.length) % this.found.length;
      this.show();
    } else if (event.key === "Enter") this.take(this.at);
    else if (event.key === "Escape") this.close();
    else return;
    event.preventDefault();
  }

  take(place) {
    if (!(place in this.found)) return;
    this.input.value = this.page.labels[this.found[place]];
    this.close();
    this.page.choose(this.found[place], true);
  }

  close() {
    this.list.hidden = true;
    this.at = -1;
    this.show();
  }
}

function folded(name) {
  return name.normalize("NFC").toLowerCase();
}

function element(tag, content, kind = "") {
  const made = document.createElement(tag);
  made.textContent = content;
  if (kind) made.className = kind;
  return made;
}

/** A dot of a colour; painted, since the page's policy allows no styles but its own. */
function swatch(colour) {
  const dot = document.createElement("canvas");
  dot.width = dot.height = 24;
  dot.ariaHidden = "true";
  const context = dot.getContext("2d");
  context.fillStyle = colour;
  context.arc(12, 12, 11, 0, 2 * Math.PI);
  context.fill();
  return dot;
}

start().catch((error) => {
  get("about").replaceChildren(element("p", "DecompressionStream" in window ? String(error) : words.failed));
  throw error;
});
