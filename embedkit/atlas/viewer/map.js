/**
 * A map of points on a canvas: pan, zoom, labels that do not overlap, hover, choice, paths. It knows nothing of where
 * its data come from; `embedkit map` puts it into an HTML file, the server's page loads it. No other code is needed
 * but the modules beside it, which it imports (gestures.js, grid.js, labels.js, raster.js): serve the folder. Nothing
 * here ever becomes HTML: strings are drawn on the canvas, or handed back as they are.
 *
 *   import { MapView } from "./map.js";
 *   const view = new MapView(canvas, {
 *     x, y,          // n numbers each (an array or a typed array), in any unit, y upwards
 *     labels,        // n strings to show; the first are the most important: labelled first, drawn on top
 *     groups,        // optional: n whole numbers, the place of each point's group in `colours`; -1 or 255: none
 *     colours,       // optional: a CSS colour "#rrggbb" for each group; a palette of its own where not given
 *   });
 *
 * What it tells (assign functions):
 *   view.onHover = (i, event) => {}     // the point under the pointer, -1 when there is none any more
 *   view.onSelect = (i) => {}           // the point that was clicked, tapped or chosen by a key; -1: none
 *   view.onMove = () => {}              // the part that is shown has changed
 *
 * What it is told:
 *   view.mark({ chosen: i, near: [i, ...], paths: [{ points: [i, ...], colour, joined: true, shape: "ring" }] })
 *                                       // the chosen point, lines from it to its neighbours, and what is drawn above
 *                                       // all: a history (joined) or recommendations (shape "star"); {} clears; a
 *                                       // colour is "#rrggbb" or as getComputedStyle gives it
 *   view.show([i, ...])                 // move and zoom so that these points are seen; all points where not given
 *   view.only(group)                    // show the other groups faintly; null: all alike
 *   view.zoom(factor), view.pan(dx, dy) // about the middle; in CSS pixels
 *   view.at(px, py)                     // the point nearest to a place on the canvas, within reach; else -1
 *   view.place(i)                       // where point i is on the canvas: [px, py] in CSS pixels
 *   view.setData(data)                  // other points
 *   view.refresh()                      // draw again, after the colours of the page have changed
 *   view.destroy()                      // let go of the canvas
 *
 * The canvas takes the focus: arrows pan, + and - zoom, 0 shows all, Escape drops the choice. One finger pans, two zoom;
 * the wheel zooms about the pointer; a double click zooms in. Colours come from the canvas's CSS: `color` for labels,
 * `background-color` for the ground, `--map-muted` for points without a group, `--map-accent` for what is marked.
 */
import { Gestures } from "./gestures.js";
import { Grid, ends } from "./grid.js";
import { Labels } from "./labels.js";
import { Raster, packed } from "./raster.js";

const PALETTE = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#803820", "#9838f8"];
const SHARPEST = 2; // pixels of the canvas for one of CSS: more cost time and are not seen
const NEAREST_ZOOM = 4000; // times the scale at which everything is seen
const REACH = 14; // CSS pixels within which the pointer means a point
const MARGIN = 28;
const GLIDE = 320; // milliseconds

export class MapView {
  constructor(canvas, data) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    this.raster = new Raster(this.context);
    this.labels = new Labels(this.context);
    this.onHover = this.onSelect = this.onMove = () => {};
    this.lit = null;
    this.camera = { x: 0, y: 0, scale: 1 };
    this.frame = 0;
    if (!canvas.hasAttribute("tabindex")) canvas.tabIndex = 0;
    canvas.style.touchAction = "none";
    this.gestures = new Gestures(canvas, this);
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(canvas);
    this.setData(data);
  }

  setData({ x, y, labels, groups = null, colours = null }) {
    this.n = x.length;
    this.names = labels;
    [this.x, this.y, this.aspect] = normalised(x, y);
    this.groups = groups ? Uint8Array.from(groups, (g) => (g < 0 || g > 254 ? 255 : g)) : null;
    this.colours = colours ?? PALETTE;
    this.grid = new Grid(this.x, this.y);
    this.marks = { chosen: -1, near: [], paths: [] };
    this.hovered = -1;
    this.lit = null;
    this.labels.forget();
    this.refresh();
    this.resize();
    this.look(this.around());
  }

  /** Fit the canvas's pixels to its size on the page. */
  resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = Math.min(SHARPEST, window.devicePixelRatio || 1);
    const whole = this.width ? this.around().scale === this.camera.scale : true;
    if (width === this.width && height === this.height && ratio === this.ratio) return;
    [this.width, this.height, this.ratio] = [width, height, ratio];
    this.canvas.width = Math.max(1, Math.round(width * ratio));
    this.canvas.height = Math.max(1, Math.round(height * ratio));
    this.labels.forget();
    if (whole) this.look(this.around());
    this.draw();
  }

  refresh() {
    const style = getComputedStyle(this.canvas);
    const variable = (name, otherwise) => rgb(style.getPropertyValue(name).trim() || otherwise);
    this.ink = rgb(style.color);
    this.ground = rgb(style.backgroundColor);
    this.accent = variable("--map-accent", "#b3002d");
    this.muted = variable("--map-muted", "#c4c8cc");
    this.font = style.fontFamily;
    this.labels.forget();
    this.draw();
  }

  destroy() {
    cancelAnimationFrame(this.frame);
    this.observer.disconnect();
    this.gestures.destroy();
    this.frame = -1;
  }

  mark({ chosen = -1, near = [], paths = [] } = {}) {
    this.marks = { chosen, near, paths };
    this.draw(false);
  }

  only(group) {
    this.lit = group;
    this.draw();
  }

  show(points) {
    this.glide(this.around(points));
  }

  zoom(factor, px = this.width / 2, py = this.height / 2) {
    const whole = this.around().scale;
    const scale = Math.max(whole / 2, Math.min(whole * NEAREST_ZOOM, this.camera.scale * factor));
    const [x, y] = this.world(px, py);
    this.look({ x: x - (px - this.width / 2) / scale, y: y + (py - this.height / 2) / scale, scale });
  }

  pan(dx, dy) {
    const { x, y, scale } = this.camera;
    this.look({ x: x - dx / scale, y: y + dy / scale, scale });
  }

  at(px, py, reach = REACH) {
    const [x, y] = this.world(px, py);
    return this.n ? this.grid.nearest(x, y, reach / this.camera.scale) : -1;
  }

  place(i) {
    const { x, y, scale } = this.camera;
    return [(this.x[i] - x) * scale + this.width / 2, this.height / 2 - (this.y[i] - y) * scale];
  }

  world(px, py) {
    const { x, y, scale } = this.camera;
    return [x + (px - this.width / 2) / scale, y - (py - this.height / 2) / scale];
  }

  /** The camera that shows these points, or all. */
  around(points = null) {
    const chosen = points?.length ? points : null;
    const [left, right] = chosen ? ends(chosen.map((i) => this.x[i])) : [-1, 1];
    const [bottom, top] = chosen ? ends(chosen.map((i) => this.y[i])) : [-this.aspect, this.aspect];
    const roomy = (room) => Math.max(1, room - 2 * MARGIN);
    const fitting = (w, h) => Math.min(roomy(this.width) / (w || 1e-9), roomy(this.height) / (h || 1e-9));
    const whole = fitting(2, 2 * this.aspect);
    const scale = Math.min(fitting(right - left, top - bottom), chosen ? whole * 40 : whole);
    return { x: (left + right) / 2, y: (bottom + top) / 2, scale };
  }

  look(camera) {
    cancelAnimationFrame(this.gliding);
    this.camera = camera;
    this.draw();
    this.onMove();
  }

  /** Go to a camera in a smooth movement, unless the reader has asked for less of that. */
  glide(target) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return this.look(target);
    const from = this.camera;
    const began = performance.now();
    const step = (now) => {
      const t = Math.max(0, Math.min(1, (now - began) / GLIDE));
      const share = t * t * (3 - 2 * t);
      const mix = (name) => from[name] + (target[name] - from[name]) * share;
      this.look({ x: mix("x"), y: mix("y"), scale: from.scale * (target.scale / from.scale) ** share });
      if (t < 1) this.gliding = requestAnimationFrame(step);
    };
    this.gliding = requestAnimationFrame(step);
    return undefined;
  }

  hover(i, event) {
    if (i === this.hovered) return;
    this.hovered = i;
    this.canvas.style.cursor = i < 0 ? "" : "pointer";
    this.onHover(i, event);
    this.draw(false);
  }

  /** Draw before the next frame is shown; many changes in between are one drawing. */
  draw(points = true) {
    this.stale ||= points;
    if (!this.frame) this.frame = requestAnimationFrame(() => this.paint());
  }

  paint() {
    this.frame = 0;
    if (!this.width || !this.height) return;
    const began = performance.now();
    if (this.stale) this.shown = this.paintPoints();
    this.stale = false;
    this.raster.finish();
    this.context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    this.paintMarks();
    this.paintLabels(this.shown);
    this.painted = performance.now() - began; // milliseconds, for who measures
  }

  /** The radius of a point in CSS pixels: larger where few are in sight. */
  radius() {
    const zoomed = (this.camera.scale / this.around().scale) ** 2;
    const each = Math.sqrt((this.width * this.height * Math.max(1, zoomed)) / Math.max(1, this.n));
    return Math.max(1.1, Math.min(5, each * 0.16));
  }

  paintPoints() {
    const { x, y, scale } = this.camera;
    const tints = [...this.colours.map(rgb), this.muted];
    const r = this.ratio;
    const how = {
      scale: scale * r,
      left: (this.width / 2 - x * scale) * r,
      top: (this.height / 2 + y * scale) * r,
      radius: this.radius() * r,
      groups: this.groups,
    };
    const lit = (group) => this.lit === null || group === this.lit;
    const faint = tints.map((tint) => packed(tint.map((c, k) => 0.15 * c + 0.85 * this.ground[k])));
    this.raster.clear(this.ground);
    if (this.lit !== null) {
      this.raster.paint(this.x, this.y, { ...how, tints: faint, opacity: 0.7, wanted: (group) => !lit(group) });
    }
    const shown = this.raster.paint(this.x, this.y, { ...how, tints: tints.map(packed), opacity: 0.8, wanted: lit });
    return shown;
  }

  paintMarks() {
    const { context } = this;
    const { chosen, near, paths } = this.marks;
    const accent = css(this.accent);
    context.lineWidth = 1;
    context.strokeStyle = css(this.accent, 0.55);
    context.beginPath();
    for (const i of chosen < 0 ? [] : near) {
      context.moveTo(...this.place(chosen));
      context.lineTo(...this.place(i));
    }
    context.stroke();
    for (const i of near) this.ring(i, 4.5, css(this.accent, 0.9), 1.5);
    for (const path of paths) this.paintPath(path);
    if (this.hovered >= 0) this.ring(this.hovered, 6, css(this.ink), 1.5);
    if (chosen >= 0) this.ring(chosen, 6.5, accent, 2.5);
  }

  paintPath({ points, colour, joined = false, shape = "ring" }) {
    const { context } = this;
    if (joined) {
      context.strokeStyle = css(rgb(colour), 0.5);
      context.lineWidth = 1.5;
      context.beginPath();
      for (const i of points) context.lineTo(...this.place(i));
      context.stroke();
    }
    for (const i of points) {
      if (shape === "star") this.star(i, colour);
      else this.ring(i, 5, colour, 2.5);
    }
  }

  ring(i, radius, colour, width) {
    const { context } = this;
    context.beginPath();
    context.arc(...this.place(i), radius, 0, 2 * Math.PI);
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.stroke();
  }

  star(i, colour) {
    const { context } = this;
    const [px, py] = this.place(i);
    context.beginPath();
    for (let k = 0; k < 10; k++) {
      const reach = k % 2 ? 3.4 : 8;
      const angle = (k * Math.PI) / 5 - Math.PI / 2;
      context.lineTo(px + reach * Math.cos(angle), py + reach * Math.sin(angle));
    }
    context.closePath();
    context.fillStyle = colour;
    context.fill();
    context.lineWidth = 1.2;
    context.strokeStyle = css(this.ground);
    context.stroke();
  }

  /** Names first for what is marked, then for the most important points in sight, as far as there is room. */
  paintLabels(shown) {
    const { chosen, near, paths } = this.marks;
    const first = new Set([this.hovered, chosen, ...paths.flatMap((path) => path.points), ...near]);
    first.delete(-1);
    const colours = { ink: css(this.ink), ground: css(this.ground) };
    this.labels.begin(this.width, this.height, this.font, colours, this.camera.scale);
    for (const i of first) this.labels.put(i, this.names[i], ...this.place(i), 8, i === this.hovered || i === chosen);
    const radius = this.radius();
    const [left, top] = this.world(0, 0);
    const [right, bottom] = this.world(this.width, this.height);
    for (let i = 0, met = 0; i < this.n && met < shown && this.labels.more(); i++) {
      if (this.x[i] < left || this.x[i] > right || this.y[i] > top || this.y[i] < bottom) continue;
      if (this.lit !== null && (this.groups?.[i] ?? 255) !== (this.lit < 0 ? 255 : this.lit)) continue;
      met++;
      if (first.has(i)) continue;
      this.labels.spread(i, this.names[i], ...this.place(i), radius + 2, this.x[i], this.y[i]);
    }
  }
}

/** Points between -1 and 1 from left to right, their shape kept; and how high they are. */
function normalised(x, y) {
  const [left, right] = ends(x);
  const [bottom, top] = ends(y);
  const half = Math.max(right - left, top - bottom) / 2 || 1;
  const across = (right - left) / 2 || half;
  const along = Float32Array.from(x, (value) => (value - (left + right) / 2) / across);
  const up = Float32Array.from(y, (value) => (value - (bottom + top) / 2) / across);
  return [along, up, Math.max((top - bottom) / 2 / across, 1e-6)];
}

/** [r, g, b] of a CSS colour as a style gives it back (`rgb(1, 2, 3)`) or as `#rrggbb`. */
function rgb(colour) {
  if (colour.startsWith("#")) return [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));
  const numbers = colour.match(/[\d.]+/g)?.map(Number) ?? [];
  return numbers.length < 3 || numbers[3] === 0 ? [255, 255, 255] : numbers.slice(0, 3);
}

function css([r, g, b], opacity = 1) {
  return `rgba(${r}, ${g}, ${b}, ${opacity})`;
}
