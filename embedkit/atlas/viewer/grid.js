/** Points sorted into the cells of a grid, so that the one nearest to a place is found without looking at all. */
export class Grid {
  /** x, y: typed arrays of n numbers. */
  constructor(x, y) {
    const n = x.length;
    this.x = x;
    this.y = y;
    [this.left, this.right] = ends(x);
    [this.bottom, this.top] = ends(y);
    this.side = Math.max(1, Math.ceil(Math.sqrt(n / 4)));
    this.width = (this.right - this.left) / this.side || 1;
    this.height = (this.top - this.bottom) / this.side || 1;
    const cells = new Uint32Array(n);
    this.starts = new Uint32Array(this.side * this.side + 1);
    for (let i = 0; i < n; i++) {
      cells[i] = this.row(y[i]) * this.side + this.column(x[i]);
      this.starts[cells[i] + 1]++;
    }
    for (let c = 0; c < this.side * this.side; c++) this.starts[c + 1] += this.starts[c];
    const next = this.starts.slice();
    this.members = new Uint32Array(n);
    for (let i = 0; i < n; i++) this.members[next[cells[i]]++] = i;
  }

  column(x) {
    return within(Math.floor((x - this.left) / this.width), this.side);
  }

  row(y) {
    return within(Math.floor((y - this.bottom) / this.height), this.side);
  }

  /** The point nearest to (x, y) that is no farther than `reach`; of equally near ones the first; -1 if none is. */
  nearest(x, y, reach) {
    let best = -1;
    let shortest = reach * reach;
    const lastRow = this.row(y + reach);
    const lastColumn = this.column(x + reach);
    for (let row = this.row(y - reach); row <= lastRow; row++) {
      const first = row * this.side + this.column(x - reach);
      const last = row * this.side + lastColumn;
      for (let m = this.starts[first]; m < this.starts[last + 1]; m++) {
        const i = this.members[m];
        const dx = this.x[i] - x;
        const dy = this.y[i] - y;
        const distance = dx * dx + dy * dy;
        if (distance < shortest || (distance === shortest && i < best)) {
          shortest = distance;
          best = i;
        }
      }
    }
    return best;
  }
}

/** The least and the greatest number of an array; [0, 0] of an empty one. */
export function ends(values) {
  if (!values.length) return [0, 0];
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

function within(place, side) {
  return Math.max(0, Math.min(side - 1, place));
}
