/**
 * Many small discs, painted into the pixels of a canvas by hand: 100,000 take some milliseconds on any machine, with
 * a graphics card or without, where as many calls of the canvas would take ten times that.
 */
export class Raster {
  constructor(context) {
    this.context = context;
    this.discs = new Map();
  }

  /** Begin a picture: all pixels get the colour `ground` ([r, g, b]). */
  clear(ground) {
    const { width, height } = this.context.canvas;
    if (this.image?.width !== width || this.image.height !== height) {
      this.image = this.context.createImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    this.pixels.fill(packed(ground));
  }

  /**
   * Paint discs over what is there, the last point first, so that the first ones lie on top.
   *
   * x, y: places of the points; scale, left, top: a point's pixel is (x * scale + left, top - y * scale).
   * tints: a colour (see `packed`) for each group, the last one for points without; groups: n places in `tints`.
   * wanted(group): whether points of the group are painted. Returns how many were within the picture.
   */
  paint(x, y, { scale, left, top, radius, opacity, groups, tints, wanted }) {
    const { width, height } = this.image;
    const { reach, side, cover } = this.disc(radius, opacity);
    const none = tints.length - 1;
    const shown = Uint8Array.from(tints, (_, group) => (wanted(group === none ? -1 : group) ? 1 : 0));
    let painted = 0;
    for (let i = x.length - 1; i >= 0; i--) {
      const group = groups ? Math.min(groups[i], none) : none;
      if (!shown[group]) continue;
      const column = Math.round(x[i] * scale + left) - reach;
      const row = Math.round(top - y[i] * scale) - reach;
      if (column + side <= 0 || row + side <= 0 || column >= width || row >= height) continue;
      painted++;
      if (column >= 0 && row >= 0 && column + side <= width && row + side <= height) {
        blend(this.pixels, row * width + column, width, side, cover, tints[group]);
      } else {
        blendClipped(this.pixels, column, row, width, height, side, cover, tints[group]);
      }
    }
    return painted;
  }

  /** Show what was painted. */
  finish() {
    this.context.putImageData(this.image, 0, 0);
  }

  /** How much of each pixel a disc covers, times its opacity: numbers from 0 to 256, side × side. */
  disc(radius, opacity) {
    const key = `${radius.toFixed(1)} ${opacity}`;
    let disc = this.discs.get(key);
    if (!disc) {
      const reach = Math.ceil(radius);
      const side = 2 * reach + 1;
      const cover = new Uint16Array(side * side);
      for (let k = 0; k < cover.length; k++) {
        const distance = Math.hypot((k % side) - reach, Math.floor(k / side) - reach);
        cover[k] = 256 * opacity * Math.max(0, Math.min(1, radius + 0.5 - distance));
      }
      disc = { reach, side, cover };
      this.discs.set(key, disc);
    }
    return disc;
  }
}

/** A colour [r, g, b] as the number that a pixel of an image is in memory. */
export function packed([r, g, b]) {
  return (255 << 24) | (b << 16) | (g << 8) | r;
}

function blend(pixels, start, width, side, cover, colour) {
  const redBlue = colour & 0xff00ff;
  const green = colour & 0x00ff00;
  let k = 0;
  for (let row = 0; row < side; row++) {
    for (let place = start + row * width, end = place + side; place < end; place++, k++) {
      const share = cover[k];
      if (share) pixels[place] = mixed(pixels[place], redBlue, green, share);
    }
  }
}

function blendClipped(pixels, column, row, width, height, side, cover, colour) {
  const redBlue = colour & 0xff00ff;
  const green = colour & 0x00ff00;
  for (let dy = Math.max(0, -row); dy < Math.min(side, height - row); dy++) {
    for (let dx = Math.max(0, -column); dx < Math.min(side, width - column); dx++) {
      const place = (row + dy) * width + column + dx;
      pixels[place] = mixed(pixels[place], redBlue, green, cover[dy * side + dx]);
    }
  }
}

/** Two channels at a time: red and blue lie far enough apart in one number not to disturb each other. */
function mixed(under, redBlue, green, share) {
  const rest = 256 - share;
  const rb = (Math.imul(under & 0xff00ff, rest) + Math.imul(redBlue, share)) >>> 8;
  const g = (Math.imul(under & 0x00ff00, rest) + Math.imul(green, share)) >>> 8;
  return 0xff000000 | (rb & 0xff00ff) | (g & 0x00ff00);
}
