/** What fingers, a mouse and keys do to a map: pan, zoom, hover, choose. */
const STEP = 60; // CSS pixels that an arrow key pans by
const STILL = 6; // CSS pixels that a finger may slip by and still mean a tap
const WHEEL = 0.0015; // of a zoom by e, for each pixel that the wheel turns
const PINCH = 0.01; // the same for two fingers on a touch pad, which come as a wheel with Ctrl

export class Gestures {
  constructor(canvas, view) {
    this.canvas = canvas;
    this.view = view;
    this.pointers = new Map();
    this.ending = new AbortController();
    const on = (name, handle, more) =>
      canvas.addEventListener(name, handle.bind(this), { signal: this.ending.signal, ...more });
    on("pointerdown", this.down);
    on("pointermove", this.move);
    on("pointerup", this.up);
    on("pointercancel", this.up);
    on("pointerleave", (event) => view.hover(-1, event));
    on("wheel", this.wheel, { passive: false });
    on("dblclick", (event) => view.zoom(event.shiftKey ? 0.5 : 2, event.offsetX, event.offsetY));
    on("keydown", this.key);
  }

  destroy() {
    this.ending.abort();
  }

  down(event) {
    if (event.button) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, event);
    this.slipped = this.pointers.size > 1 ? Infinity : 0;
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "touch") this.view.hover(this.view.at(event.offsetX, event.offsetY), event);
      return;
    }
    const [dx, dy] = [event.offsetX - before.offsetX, event.offsetY - before.offsetY];
    this.slipped += Math.hypot(dx, dy);
    if (this.pointers.size === 2) this.pinch(before, event);
    else if (this.slipped > STILL) this.view.pan(dx, dy);
    else return;
    this.view.hover(-1, event);
    this.pointers.set(event.pointerId, event);
  }

  /** One of two fingers has moved: zoom by how far they are apart, about the point between them. */
  pinch(before, event) {
    const other = [...this.pointers.values()].find((pointer) => pointer.pointerId !== event.pointerId);
    const apart = (finger) => Math.hypot(finger.offsetX - other.offsetX, finger.offsetY - other.offsetY);
    const middle = [(event.offsetX + other.offsetX) / 2, (event.offsetY + other.offsetY) / 2];
    this.view.pan((event.offsetX - before.offsetX) / 2, (event.offsetY - before.offsetY) / 2);
    this.view.zoom(Math.max(apart(event), 1) / Math.max(apart(before), 1), ...middle);
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (event.type === "pointercancel" || this.slipped > STILL) return;
    const reach = event.pointerType === "touch" ? 24 : undefined;
    this.view.onSelect(this.view.at(event.offsetX, event.offsetY, reach));
  }

  wheel(event) {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? this.view.height : 1);
    const factor = Math.exp(-pixels * (event.ctrlKey ? PINCH : WHEEL));
    this.view.zoom(Math.max(0.2, Math.min(5, factor)), event.offsetX, event.offsetY);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { view } = this;
    const actions = {
      ArrowLeft: () => view.pan(STEP, 0),
      ArrowRight: () => view.pan(-STEP, 0),
      ArrowUp: () => view.pan(0, STEP),
      ArrowDown: () => view.pan(0, -STEP),
      "+": () => view.zoom(1.4),
      "=": () => view.zoom(1.4),
      "-": () => view.zoom(1 / 1.4),
      0: () => view.show(),
      Escape: () => view.onSelect(-1),
      Enter: () => view.onSelect(view.at(view.width / 2, view.height / 2, Infinity)),
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  }
}
