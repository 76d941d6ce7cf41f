// Painting on masks, in whole pixels: the same in every browser, without the half-transparent edges of a canvas.
// A mask is a Uint8Array, row-major, 1 where the object is. Every function returns the box [x0, y0, x1, y1] that it
// may have changed (the ends not included), or null.

/** @typedef {{data: Uint8Array, width: number, height: number}} Mask */
/** @typedef {[number, number, number, number]} Box */
/** @typedef {Uint8Array | null} Kept where it is not 0, nothing is painted */

/**
 * @param {Box | null} a
 * @param {Box | null} b
 * @returns {Box | null}
 */
export function joined(a, b) {
  if (!a || !b) return a ?? b;
  return [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[2], b[2]), Math.max(a[3], b[3])];
}

/**
 * The pixels of a row from x0 to x1, both included, cut off at the borders.
 * @param {Mask} mask
 * @param {number} y
 * @param {number} x0
 * @param {number} x1
 * @param {number} value
 * @param {Kept} kept
 */
function paintRow(mask, y, x0, x1, value, kept) {
  if (y < 0 || y >= mask.height) return;
  const start = y * mask.width + Math.max(0, x0);
  const stop = y * mask.width + Math.min(mask.width - 1, x1) + 1;
  if (!kept) {
    if (stop > start) mask.data.fill(value, start, stop);
    return;
  }
  for (let i = start; i < stop; i += 1) if (!kept[i]) mask.data[i] = value;
}

/**
 * @param {Mask} mask
 * @param {number} x0
 * @param {number} y0
 * @param {number} x1
 * @param {number} y1
 * @returns {Box | null}
 */
function boxIn(mask, x0, y0, x1, y1) {
  const left = Math.max(0, x0);
  const top = Math.max(0, y0);
  const right = Math.min(mask.width, x1);
  const bottom = Math.min(mask.height, y1);
  return right > left && bottom > top ? [left, top, right, bottom] : null;
}

/**
 * Half the width of a disc on each row above and below its middle: the pixels with dx² + dy² <= r² + r.
 * @param {number} radius
 * @returns {number[]}
 */
export function discOf(radius) {
  const limit = radius * radius + radius;
  const halves = [];
  for (let dy = 0; dy <= radius; dy += 1) halves.push(Math.floor(Math.sqrt(limit - dy * dy)));
  return halves;
}

/**
 * Discs from one pixel to another, at most one pixel apart.
 * @param {Mask} mask
 * @param {[number, number]} from
 * @param {[number, number]} to
 * @param {number} radius in pixels; 0 is one pixel
 * @param {number} value
 * @param {Kept} [kept]
 */
export function paintLine(mask, from, to, radius, value, kept = null) {
  const [x0, y0] = from;
  const [x1, y1] = to;
  const steps = Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0));
  const halves = discOf(radius);
  // The rows of all discs are joined first: a long line with a wide brush writes each pixel once.
  const top = Math.min(y0, y1) - radius;
  const rows = Math.abs(y1 - y0) + 2 * radius + 1;
  const starts = new Int32Array(rows).fill(0x7fffffff);
  const stops = new Int32Array(rows).fill(-0x7fffffff);
  for (let i = 0; i <= steps; i += 1) {
    const x = steps ? x0 + Math.round(((x1 - x0) * i) / steps) : x0;
    const y = steps ? y0 + Math.round(((y1 - y0) * i) / steps) : y0;
    for (let dy = -radius; dy <= radius; dy += 1) {
      const row = y + dy - top;
      const half = halves[Math.abs(dy)];
      if (x - half < starts[row]) starts[row] = x - half;
      if (x + half > stops[row]) stops[row] = x + half;
    }
  }
  for (let row = 0; row < rows; row += 1) paintRow(mask, top + row, starts[row], stops[row], value, kept);
  const [left, right] = x0 < x1 ? [x0, x1] : [x1, x0];
  return boxIn(mask, left - radius, top, right + radius + 1, top + rows);
}

/**
 * A polygon with its outline: pixels whose middle lies inside (even-odd), and those that the sides run over.
 * @param {Mask} mask
 * @param {[number, number][]} corners
 * @param {number} value
 * @param {Kept} [kept]
 */
export function paintPolygon(mask, corners, value, kept = null) {
  if (!corners.length) return null;
  corners.forEach((corner, i) => paintLine(mask, corner, corners[(i + 1) % corners.length], 0, value, kept));
  const xs = corners.map((corner) => corner[0]);
  const ys = corners.map((corner) => corner[1]);
  const box = boxIn(mask, Math.min(...xs), Math.min(...ys), Math.max(...xs) + 1, Math.max(...ys) + 1);
  const top = Math.max(0, Math.min(...ys));
  const bottom = Math.min(mask.height - 1, Math.max(...ys));
  for (let y = top; y <= bottom; y += 1) {
    const cuts = cutsOf(corners, y);
    for (let i = 0; i + 1 < cuts.length; i += 2) {
      paintRow(mask, y, Math.ceil(cuts[i]), Math.floor(cuts[i + 1]), value, kept);
    }
  }
  return box;
}

/**
 * Where a row cuts the sides, from left to right.
 * @param {[number, number][]} corners
 * @param {number} y
 */
function cutsOf(corners, y) {
  const cuts = [];
  for (let i = 0; i < corners.length; i += 1) {
    const [ax, ay] = corners[i];
    const [bx, by] = corners[(i + 1) % corners.length];
    if (ay <= y !== by <= y) cuts.push(ax + ((y - ay) * (bx - ax)) / (by - ay));
  }
  return cuts.sort((a, b) => a - b);
}

/**
 * Fills the hole or the part around a pixel: all that hangs together with it (by sides) and has the same value.
 * @param {Mask} mask
 * @param {[number, number]} at
 * @param {number} value
 * @param {Kept} [kept]
 */
export function fillFrom(mask, at, value, kept = null) {
  const { data, width, height } = mask;
  const [x, y] = at;
  if (x < 0 || y < 0 || x >= width || y >= height) return null;
  const before = data[y * width + x];
  if (before === value) return null;
  /** @param {number} i */
  const isOpen = (i) => data[i] === before && !(kept && kept[i]);
  if (!isOpen(y * width + x)) return null;
  const waiting = [y * width + x];
  /** @type {Box | null} */
  let box = null;
  while (waiting.length) {
    const pixel = /** @type {number} */ (waiting.pop());
    if (!isOpen(pixel)) continue;
    const row = Math.floor(pixel / width);
    const first = row * width;
    let left = pixel;
    let right = pixel;
    while (left > first && isOpen(left - 1)) left -= 1;
    while (right < first + width - 1 && isOpen(right + 1)) right += 1;
    data.fill(value, left, right + 1);
    for (const other of [row - 1, row + 1]) {
      if (other < 0 || other >= height) continue;
      const shift = (other - row) * width;
      for (let i = left; i <= right; i += 1) {
        if (isOpen(i + shift) && (i === left || !isOpen(i + shift - 1))) waiting.push(i + shift);
      }
    }
    box = joined(box, [left - first, row, right - first + 1, row + 1]);
  }
  return box;
}
