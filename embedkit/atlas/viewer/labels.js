/** Names on a map, put where there is room: beside, above or below their points, never over each other. */
const SIZE = 12; // CSS pixels
const CELL = 64; // CSS pixels of a side of the cells in which taken places are kept
const LONGEST = 30; // letters; longer names are cut, on the map only
const TILE = 120; // CSS pixels, about, of a side of the parts of a map
const EACH = 2; // names in each of them
const ROOM = 6500; // CSS pixels of area for each name
const TRIES = 2500; // names that are tried in a drawing, so that it stays quick

export class Labels {
  constructor(context) {
    this.context = context;
    this.sized = new Map();
  }

  /** Forget how wide names are, since font or names have changed. */
  forget() {
    this.sized.clear();
  }

  begin(width, height, family, { ink, ground }, scale) {
    Object.assign(this.context, {
      font: `${SIZE}px ${family}`,
      textBaseline: "middle",
      lineJoin: "round",
      lineWidth: 2.5,
      fillStyle: ink,
      strokeStyle: ground,
    });
    [this.width, this.height, this.ink, this.ground] = [width, height, ink, ground];
    this.taken = new Map();
    this.left = Math.max(12, Math.round((width * height) / ROOM));
    this.tries = TRIES;
    this.tile = 2 ** Math.round(Math.log2(TILE / scale));
    this.tiles = new Map();
  }

  /** As `put`, but only so many names in each part of the map (x, y: the place there), which moves with the points. */
  spread(i, name, px, py, gap, x, y) {
    const tile = Math.floor(y / this.tile) * 65536 + Math.floor(x / this.tile);
    const there = this.tiles.get(tile) ?? 0;
    if (there >= EACH) return;
    if (this.put(i, name, px, py, gap)) this.tiles.set(tile, there + 1);
  }

  /** Whether another name may still find a place. */
  more() {
    return this.left > 0 && this.tries > 0;
  }

  /** Write the name of point i, `gap` away from (px, py), where there is room; if `forced`, anywhere, on a ground of its own. */
  put(i, name, px, py, gap, forced = false) {
    this.tries--;
    const { text, wide } = this.measured(i, name);
    const high = SIZE + 2;
    const corners = [
      [px + gap, py - high / 2],
      [px - gap - wide, py - high / 2],
      [px - wide / 2, py - gap - high],
      [px - wide / 2, py + gap],
    ];
    const boxes = corners.map(([x, y]) => ({ x, y, right: x + wide, bottom: y + high }));
    const box = boxes.find((side) => this.free(side)) ?? (forced ? boxes[px > this.width / 2 ? 1 : 0] : null);
    if (!box) return false;
    this.take(box);
    this.left--;
    if (forced) this.underlay(box);
    this.context.strokeText(text, box.x, (box.y + box.bottom) / 2);
    this.context.fillText(text, box.x, (box.y + box.bottom) / 2);
    return true;
  }

  underlay({ x, y, right, bottom }) {
    const { context } = this;
    context.fillStyle = this.ground;
    context.fillRect(x - 3, y - 2, right - x + 6, bottom - y + 4);
    context.fillStyle = this.ink;
  }

  measured(i, name) {
    let sized = this.sized.get(i);
    if (!sized) {
      const letters = [...name.slice(0, 4 * LONGEST)];
      const text = letters.length > LONGEST ? `${letters.slice(0, LONGEST - 1).join("")}…` : name;
      sized = { text, wide: this.context.measureText(text).width };
      this.sized.set(i, sized);
    }
    return sized;
  }

  free(box) {
    if (box.x < 0 || box.y < 0 || box.right > this.width || box.bottom > this.height) return false;
    for (const key of cells(box)) {
      for (const other of this.taken.get(key) ?? []) {
        if (box.x < other.right && other.x < box.right && box.y < other.bottom && other.y < box.bottom) return false;
      }
    }
    return true;
  }

  take(box) {
    for (const key of cells(box)) {
      const there = this.taken.get(key);
      if (there) there.push(box);
      else this.taken.set(key, [box]);
    }
  }
}

function* cells({ x, y, right, bottom }) {
  for (let row = Math.floor(y / CELL); row <= Math.floor(bottom / CELL); row++) {
    for (let column = Math.floor(x / CELL); column <= Math.floor(right / CELL); column++) yield row * 4096 + column;
  }
}
