// The masks of frames, as they are in the tracks: fetched in windows, given up where the server says they changed.
import { get } from "../api.js";
import { drawn, frame, run } from "../state.js";

/** @typedef {import("../types.js").MaskFrame} MaskFrame */

const WINDOW = 32;
const MOST_FRAMES = 2000;

/** @type {Map<number, MaskFrame | null>} null: a frame that is not finished */
const kept = new Map();
/** @type {Set<number>} windows that are on their way */
const coming = new Set();
/** @type {Set<number>} frames that changed while their window was on its way */
const outdated = new Set();

/** @param {number} index */
export function masksOf(index) {
  return kept.get(index) ?? null;
}

/** @param {number} index */
export function hasMasks(index) {
  return kept.has(index) && !outdated.has(index);
}

/**
 * @param {number} index
 * @param {number} id
 */
export function maskOf(index, id) {
  return masksOf(index)?.masks.find((row) => row.id === id) ?? null;
}

/** Asks for the masks around the present frame. */
export function fetchMasks() {
  const window = Math.floor(frame.value / WINDOW);
  for (const near of [window, window + 1, window - 1]) {
    if (near >= 0 && near * WINDOW < (run.value?.video.frame_count ?? 0)) fetchWindow(near);
  }
}

/** @param {number} window */
async function fetchWindow(window) {
  const start = window * WINDOW;
  const stop = Math.min(start + WINDOW, run.value?.video.frame_count ?? 0);
  if (coming.has(window) || isWhole(start, stop)) return;
  coming.add(window);
  // Only what is missing: of a window in which one frame has changed, that one.
  let first = start;
  let end = stop;
  while (hasMasks(first)) first += 1;
  while (hasMasks(end - 1)) end -= 1;
  for (let i = first; i < end; i += 1) outdated.delete(i);
  try {
    const found = await get(`masks?from=${first}&to=${end}`);
    const byFrame = new Map(found.frames.map((/** @type {MaskFrame} */ item) => [item.frame, item]));
    for (let i = first; i < end; i += 1) kept.set(i, byFrame.get(i) ?? null);
    shrink();
    drawn.value += 1;
  } catch {
    for (let i = first; i < end; i += 1) outdated.add(i);
    return;
  } finally {
    coming.delete(window);
  }
  if (!isWhole(start, stop)) fetchMasks();
}

/**
 * @param {number} start
 * @param {number} stop
 */
function isWhole(start, stop) {
  for (let i = start; i < stop; i += 1) if (!hasMasks(i)) return false;
  return true;
}

function shrink() {
  for (const index of kept.keys()) {
    if (kept.size <= MOST_FRAMES) break;
    if (Math.abs(index - frame.value) > WINDOW * 2) kept.delete(index);
  }
}

/**
 * Masks of these stretches may be others now; they are shown until the new ones come.
 * @param {import("../types.js").Changes} changes
 */
export function masksChanged(changes) {
  for (const stretches of Object.values(changes)) {
    const all = stretches.length ? stretches : [[0, Infinity]];
    for (const [start, stop] of all) {
      if (stop - start > kept.size) {
        for (const index of kept.keys()) if (index >= start && index < stop) outdated.add(index);
      } else for (let i = start; i < stop; i += 1) outdated.add(i);
    }
  }
  fetchMasks();
}
