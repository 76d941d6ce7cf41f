// The masks of a frame as one picture: a map of labels first, then colours. The map also says what lies at a pixel.
import { paintRle } from "../rle.js";

/** @typedef {{id: number, color: [number, number, number], counts: string, isSelected: boolean, isHatched: boolean}} Layer */
/** @typedef {import("../brush.js").Box} Box */

const WHITE = 0xffffffff;

/** A drawing surface of one video's size, used again and again. */
export class MaskPicture {
  /**
   * @param {number} width
   * @param {number} height
   */
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.labels = new Uint16Array(width * height);
    this.image = new ImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    /** @type {number[]} ids by label - 1 */
    this.ids = [];
    /** @type {Box | null} */
    this.selectedBox = null;
  }

  /**
   * Draws masks over one another, in their order.
   * @param {Layer[]} layers
   * @param {number} opacity 0 to 1
   */
  draw(layers, opacity) {
    this.labels.fill(0);
    this.pixels.fill(0);
    this.ids = layers.map((layer) => layer.id);
    this.selectedBox = null;
    layers.forEach((layer, i) => {
      const box = paintRle(layer.counts, this.labels, this.height, i + 1);
      if (layer.isSelected) this.selectedBox = box;
      if (box) this.#color(box, i + 1, layer, opacity);
    });
    if (this.selectedBox) this.#outline(this.selectedBox, this.ids.length);
  }

  /**
   * @param {Box} box
   * @param {number} label
   * @param {Layer} layer
   * @param {number} opacity
   */
  #color([x0, y0, x1, y1], label, layer, opacity) {
    const color = packed(layer.color, opacity);
    const stripe = layer.isHatched ? packed(layer.color, opacity / 3) : color;
    for (let y = y0; y < y1; y += 1) {
      const row = y * this.width;
      for (let x = x0; x < x1; x += 1) {
        if (this.labels[row + x] === label) this.pixels[row + x] = (x + y) & 4 ? color : stripe;
      }
    }
  }

  /**
   * A white line around the selected object, inside of it.
   * @param {Box} box
   * @param {number} label
   */
  #outline([x0, y0, x1, y1], label) {
    const { labels, width, height } = this;
    for (let y = y0; y < y1; y += 1) {
      for (let x = x0; x < x1; x += 1) {
        const i = y * width + x;
        if (labels[i] !== label) continue;
        const isEdge =
          (x > 0 && labels[i - 1] !== label) ||
          (x + 1 < width && labels[i + 1] !== label) ||
          (y > 0 && labels[i - width] !== label) ||
          (y + 1 < height && labels[i + width] !== label);
        if (isEdge) this.pixels[i] = WHITE;
      }
    }
  }

  /**
   * The id of the object at a pixel, or null.
   * @param {number} x
   * @param {number} y
   */
  idAt(x, y) {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return null;
    const label = this.labels[y * this.width + x];
    return label ? this.ids[label - 1] : null;
  }
}

/**
 * A colour as ImageData keeps it, on a machine that writes the lowest byte first (all that run browsers do).
 * @param {[number, number, number]} rgb
 * @param {number} opacity
 */
export function packed([red, green, blue], opacity) {
  return ((Math.round(opacity * 255) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/**
 * The part of a painted mask that has changed, as pixels.
 * @param {import("../brush.js").Mask} mask
 * @param {Box} box
 * @param {number} color packed
 */
export function paintedPart(mask, [x0, y0, x1, y1], color) {
  const image = new ImageData(x1 - x0, y1 - y0);
  const pixels = new Uint32Array(image.data.buffer);
  let at = 0;
  for (let y = y0; y < y1; y += 1) {
    for (let i = y * mask.width + x0; i < y * mask.width + x1; i += 1, at += 1) if (mask.data[i]) pixels[at] = color;
  }
  return image;
}
