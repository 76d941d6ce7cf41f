// Decoded frames: fetched ahead in the direction of travel, the oldest given up past 256 MB.
import { ask } from "../api.js";
import { signal } from "../vendor/preact.js";
import { drawn, frame, frameCount, frameProblem, frameTime, shownFrame } from "../state.js";

/** @typedef {{bitmap: ImageBitmap, time: number | null, isFull: boolean}} Picture */

const MOST_BYTES = 256 << 20;
const AHEAD = 24;
const AT_ONCE = 3;

/** @type {Map<number, Picture>} the least used first */
const kept = new Map();
/** @type {Map<number, AbortController>} */
const coming = new Map();
let bytes = 0;

/** Counts up when frames have come or were given up. */
export const loaded = signal(0);

let direction = 1;
let last = 0;
let wantsFull = false;

/** @param {number} index */
export function pictureOf(index) {
  const found = kept.get(index);
  if (!found) return null;
  kept.delete(index);
  kept.set(index, found);
  return found;
}

/** Stretches of frames that are there, for the transport. */
export function loadedRanges() {
  const sorted = [...kept.keys()].sort((a, b) => a - b);
  /** @type {[number, number][]} */
  const ranges = [];
  for (const index of sorted) {
    const open = ranges.at(-1);
    if (open && open[1] === index) open[1] = index + 1;
    else ranges.push([index, index + 1]);
  }
  return ranges;
}

/**
 * Full size, for painting and for a closer look; otherwise at most 1920 wide.
 * @param {boolean} isFull
 */
export function wantFull(isFull) {
  if (isFull === wantsFull) return;
  wantsFull = isFull;
  fetchAhead();
}

/** Asks for the present frame and those that come next. */
export function fetchAhead() {
  const now = frame.value;
  if (now !== last) direction = now > last ? 1 : -1;
  last = now;
  const wanted = [now];
  for (let i = 1; i <= AHEAD; i += 1) wanted.push(now + direction * i);
  wanted.push(now - direction);
  const missing = wanted.filter((i) => i >= 0 && i < frameCount.value && isMissing(i, i === now));
  for (const [index, abort] of coming) if (!wanted.includes(index)) abort.abort();
  for (const index of missing) {
    if (coming.size >= AT_ONCE && index !== now) break;
    if (!coming.has(index)) load(index);
  }
}

/**
 * @param {number} index
 * @param {boolean} isPresent
 */
function isMissing(index, isPresent) {
  const found = kept.get(index);
  return !found || (isPresent && wantsFull && !found.isFull);
}

/** @param {number} index */
async function load(index) {
  const abort = new AbortController();
  const isFull = wantsFull;
  coming.set(index, abort);
  try {
    const response = await ask(`frames/${index}${isFull ? "?w=0" : ""}`, { signal: abort.signal });
    const time = response.headers.get("X-Frame-Time");
    keep(index, await createImageBitmap(await response.blob()), time === null ? null : Number(time), isFull);
    if (index === frame.value) show();
  } catch (err) {
    if (!abort.signal.aborted && index === frame.value) fail(err);
    if (!abort.signal.aborted) return;
  } finally {
    coming.delete(index);
  }
  fetchAhead();
}

/** @param {unknown} err */
function fail(err) {
  frameProblem.value = err instanceof Error ? err.message : String(err);
  shownFrame.value = frame.value;
}

/**
 * @param {number} index
 * @param {ImageBitmap} bitmap
 * @param {number | null} time
 * @param {boolean} isFull
 */
function keep(index, bitmap, time, isFull) {
  drop(index);
  kept.set(index, { bitmap, time, isFull });
  bytes += bitmap.width * bitmap.height * 4;
  for (const oldest of kept.keys()) {
    if (bytes <= MOST_BYTES) break;
    if (oldest !== frame.value) drop(oldest);
  }
  loaded.value += 1;
}

/** @param {number} index */
function drop(index) {
  const found = kept.get(index);
  if (!found) return;
  bytes -= found.bitmap.width * found.bitmap.height * 4;
  found.bitmap.close();
  kept.delete(index);
}

/** Shows the present frame, where it is there. */
export function show() {
  const found = pictureOf(frame.value);
  if (!found) return false;
  frameProblem.value = null;
  frameTime.value = found.time;
  if (shownFrame.value === frame.value) drawn.value += 1; // the same frame, larger
  shownFrame.value = frame.value;
  return true;
}
