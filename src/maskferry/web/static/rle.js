// COCO's run-length encoding of masks, as maskferry's Rle writes it: column-major runs, background first, in a
// compressed string of five bits a character, from the fourth run on as differences to the run two before.

/**
 * The run lengths of a compressed string.
 * @param {string} counts
 * @returns {Uint32Array}
 */
export function runsOf(counts) {
  const runs = new Uint32Array(counts.length);
  let found = 0;
  let at = 0;
  while (at < counts.length) {
    let value = 0;
    let shift = 0;
    let bits = 0;
    do {
      bits = counts.charCodeAt(at++) - 48;
      value |= (bits & 31) << shift;
      shift += 5;
    } while (bits & 32 && at < counts.length);
    if (bits & 16 && shift < 32) value |= -1 << shift;
    runs[found] = found > 2 ? value + runs[found - 2] : value;
    found += 1;
  }
  return runs.subarray(0, found);
}

/**
 * @param {ArrayLike<number>} runs
 * @returns {string}
 */
export function countsOf(runs) {
  let text = "";
  for (let i = 0; i < runs.length; i += 1) {
    let value = i > 2 ? runs[i] - runs[i - 2] : runs[i];
    for (;;) {
      const bits = value & 31;
      value >>= 5;
      const isLast = bits & 16 ? value === -1 : value === 0;
      text += String.fromCharCode((isLast ? bits : bits | 32) + 48);
      if (isLast) break;
    }
  }
  return text;
}

/**
 * Writes `value` to every pixel of a mask.
 * @param {string} counts
 * @param {Uint8Array | Uint16Array} target row-major, height x width
 * @param {number} height
 * @param {number} value
 * @returns {[number, number, number, number] | null} the box [x0, y0, x1, y1] of the pixels; the ends not included
 */
export function paintRle(counts, target, height, value) {
  const runs = runsOf(counts);
  const width = target.length / height;
  let at = 0;
  let top = height;
  let bottom = 0;
  let left = width;
  let right = 0;
  for (let i = 0; i < runs.length; i += 1) {
    const end = at + runs[i];
    if (i & 1 && runs[i]) {
      let x = Math.floor(at / height);
      let y = at - x * height;
      if (x < left) left = x;
      for (let left_over = runs[i]; left_over; x += 1, y = 0) {
        const stop = Math.min(height, y + left_over);
        left_over -= stop - y;
        if (y < top) top = y;
        if (stop > bottom) bottom = stop;
        for (let pixel = y * width + x; y < stop; y += 1, pixel += width) target[pixel] = value;
      }
      right = x;
    }
    at = end;
  }
  return right ? [left, top, right, bottom] : null;
}

/**
 * @param {string} counts
 * @param {number} height
 * @param {number} width
 * @returns {Uint8Array} row-major, 1 where the object is
 */
export function decodeRle(counts, height, width) {
  const mask = new Uint8Array(height * width);
  paintRle(counts, mask, height, 1);
  return mask;
}

/**
 * @param {Uint8Array} mask row-major, 0 where there is nothing
 * @param {number} height
 * @param {number} width
 * @param {[number, number, number, number]} [box] [x0, y0, x1, y1], outside of which there is nothing
 * @returns {string}
 */
export function encodeRle(mask, height, width, box = [0, 0, width, height]) {
  const [x0, y0, x1, y1] = box;
  const runs = [];
  let isInside = false;
  let last = 0; // where the present run began
  for (let x = x0; x < x1; x += 1) {
    const column = x * height;
    for (let y = y0, pixel = y0 * width + x; y < y1; y += 1, pixel += width) {
      if ((mask[pixel] !== 0) === isInside) continue;
      runs.push(column + y - last);
      last = column + y;
      isInside = !isInside;
    }
    // Below the box there is nothing; with the next column's first row inside, the run goes on there.
    if (isInside && (y1 < height || y0 > 0 || x + 1 === x1)) {
      runs.push(column + y1 - last);
      last = column + y1;
      isInside = false;
    }
  }
  if (last < height * width || !runs.length) runs.push(height * width - last);
  return countsOf(runs);
}

/**
 * How many pixels a mask has.
 * @param {string} counts
 */
export function areaOf(counts) {
  const runs = runsOf(counts);
  let area = 0;
  for (let i = 1; i < runs.length; i += 2) area += runs[i];
  return area;
}
