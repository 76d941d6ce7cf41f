// The mask that is being painted: one object on one frame, a copy until it is applied. Strokes can be taken back; each
// finished one is saved as a draft.
import { decodeRle, encodeRle, paintRle } from "./rle.js";
import { joined } from "./brush.js";
import { keepHere, readDraft, saveDraft } from "./drafts.js";
import { maskOf, masksOf } from "./film/masks.js";
import { frame, isReadOnly, keepsOthers, locked, revision, run, selected, tool } from "./state.js";
import { signal } from "./vendor/preact.js";

/** @typedef {import("./brush.js").Box} Box */
/**
 * @typedef {object} Painting
 * @property {number} object 0 where it is not there yet
 * @property {number} frame
 * @property {number} revision of the mask that it began with
 * @property {import("./brush.js").Mask} mask
 * @property {Box | null} bounds outside of which there is nothing
 * @property {string[]} done masks before each stroke
 * @property {string[]} undone
 * @property {boolean} isChanged it differs from the tracks, or is a draft
 */

export const painting = signal(/** @type {Painting | null} */ (null));

/** Counts up with each change of the mask. */
export const painted = signal(0);

// What has changed since it was drawn; "all" at first.
/** @type {{box: Box | "all" | null}} */
export const dirty = { box: null };

let begun = 0;

export function isPaintTool() {
  return tool.value !== "select";
}

/** Begins, goes on with, or leaves off, as the tool, the object and the frame are now. The draft stays. */
export async function followTool() {
  const now = painting.peek();
  const object = selected.value;
  const index = frame.value;
  const isWanted = isPaintTool() && object !== null && !isReadOnly.value && !locked.value.has(object);
  if (isWanted && now?.object === object && now.frame === index) return;
  painting.value = null;
  const turn = (begun += 1);
  if (!isWanted) return;
  const base = revision.peek();
  const draft = await readDraft(object, index);
  if (turn !== begun || !run.value) return;
  const { width, height } = run.value.video;
  const counts = draft?.counts ?? maskOf(index, object)?.counts;
  const data = new Uint8Array(width * height);
  const bounds = counts ? paintRle(counts, data, height, 1) : null;
  painting.value = {
    object,
    frame: index,
    revision: draft?.revision ?? base,
    mask: { data, width, height },
    bounds,
    done: [],
    undone: [],
    isChanged: draft !== null,
  };
  changed("all");
}

/** @param {Box | "all" | null} box */
export function changed(box) {
  dirty.box = box === "all" || dirty.box === "all" ? "all" : joined(dirty.box, box);
  const now = painting.peek();
  if (now && box && box !== "all") now.bounds = joined(now.bounds, box);
  painted.value += 1;
}

export function countsNow() {
  const { mask, bounds } = /** @type {Painting} */ (painting.peek());
  return encodeRle(mask.data, mask.height, mask.width, bounds ?? [0, 0, 0, 0]);
}

/** Pixels of others, which are not painted over; null where all may be. */
export function keptPixels() {
  const now = /** @type {Painting} */ (painting.peek());
  const rows = masksOf(now.frame)?.masks ?? [];
  const others = rows.filter((row) => row.id !== now.object && (keepsOthers.value || locked.value.has(row.id)));
  if (!others.length) return null;
  const kept = new Uint8Array(now.mask.data.length);
  for (const row of others) paintRle(row.counts, kept, now.mask.height, 1);
  return kept;
}

let before = "";

export function beginStroke() {
  before = countsNow();
}

function draftNow() {
  const now = /** @type {Painting} */ (painting.peek());
  const { object, frame: index, revision: base } = now;
  return { object, frame: index, revision: base, counts: countsNow(), saved: Date.now() };
}

/** @returns {Promise<void>} until the server has the draft */
export function endStroke() {
  const now = /** @type {Painting} */ (painting.peek());
  const draft = draftNow();
  if (draft.counts === before) return Promise.resolve();
  painting.value = { ...now, isChanged: true, done: [...now.done, before], undone: [] };
  return saveDraft(draft);
}

/** In the middle of a stroke, when the page goes away. */
export function keepStroke() {
  if (painting.peek() && before && countsNow() !== before) keepHere(draftNow());
}

/** @returns {boolean} whether there was a stroke to take back */
export function undoStroke() {
  const now = painting.peek();
  if (!now?.done.length) return false;
  const counts = /** @type {string} */ (now.done.at(-1));
  restore({ ...now, done: now.done.slice(0, -1), undone: [...now.undone, countsNow()] }, counts);
  return true;
}

/** @returns {boolean} */
export function redoStroke() {
  const now = painting.peek();
  if (!now?.undone.length) return false;
  const counts = /** @type {string} */ (now.undone.at(-1));
  restore({ ...now, undone: now.undone.slice(0, -1), done: [...now.done, countsNow()] }, counts);
  return true;
}

/**
 * @param {Painting} next
 * @param {string} counts
 */
function restore(next, counts) {
  const { width, height } = next.mask;
  const data = decodeRle(counts, height, width);
  painting.value = { ...next, mask: { data, width, height } };
  changed("all");
  saveDraft(draftNow());
}

/** Ends it, after its mask was applied or given up. */
export function endPainting() {
  begun += 1;
  painting.value = null;
  before = "";
  tool.value = "select";
}

addEventListener("pagehide", keepStroke);
