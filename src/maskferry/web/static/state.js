// What all parts of the page share, as signals.
import { computed, signal } from "./vendor/preact.js";

/** @typedef {import("./types.js").Run} Run */
/** @typedef {import("./types.js").TrackedObject} TrackedObject */
/** @typedef {"select" | "brush" | "eraser" | "polygon" | "fill"} Tool */

export const run = signal(/** @type {Run | null} */ (null));

/** Why the page cannot begin, or null. */
export const startProblem = signal(/** @type {Error | null} */ (null));

/** The newest revision that the page knows of: the base of what it sends. */
export const revision = signal(0);

export const frame = signal(0);

/** The frame that the film shows: `frame`, as soon as it is decoded. */
export const shownFrame = signal(-1);

export const frameTime = signal(/** @type {number | null} */ (null));

/** Why the frame cannot be shown, or null. */
export const frameProblem = signal(/** @type {string | null} */ (null));

export const isPlaying = signal(false);

/** The id of the selected object; 0 is one that is not there yet. */
export const selected = signal(/** @type {number | null} */ (null));

export const tool = signal(/** @type {Tool} */ ("select"));
export const brushRadius = signal(8);
export const keepsOthers = signal(false);
export const showsOnion = signal(false);
export const followsObject = signal(false);
export const hidesAll = signal(false);
export const opacity = signal(0.5);
export const hidden = signal(/** @type {ReadonlySet<number>} */ (new Set()));
export const locked = signal(/** @type {ReadonlySet<number>} */ (new Set()));
export const solo = signal(/** @type {number | null} */ (null));
export const filter = signal("");

/** The queue, and which of its rows is the present one. */
export const queue = signal(/** @type {import("./types.js").Queue | null} */ (null));
export const queueRow = signal(/** @type {string | null} */ (null));

/** The dialog that is open, with what it needs; null where there is none. */
export const dialog = signal(/** @type {{name: string, [key: string]: any} | null} */ (null));

/** Sentences for the user, the newest last. */
export const messages = signal(/** @type {{id: number, text: string, isProblem: boolean}[]} */ ([]));

/** Writes of this page that are on their way. */
export const writing = signal(0);

/** Counts up whenever masks, lanes or frames have come: what is drawn looks at it. */
export const drawn = signal(0);

export const objects = computed(() => run.value?.objects ?? []);
export const video = computed(() => run.value?.video ?? null);
export const frameCount = computed(() => run.value?.video.frame_count ?? 0);
export const isReadOnly = computed(() => run.value?.read_only ?? false);
export const job = computed(() => run.value?.job ?? null);
export const isWorking = computed(() => ["starting", "running", "stopping"].includes(job.value?.state ?? "idle"));

/** Objects that the filter lets through. */
export const listed = computed(() => {
  const wanted = filter.value.trim().toLowerCase();
  if (!wanted) return objects.value;
  return objects.value.filter((item) => `${item.id} ${item.label ?? ""}`.toLowerCase().includes(wanted));
});

/** @param {number | null} id */
export function objectOf(id) {
  return objects.value.find((item) => item.id === id) ?? null;
}

/** @param {number} id */
export function nameOf(id) {
  if (id === 0) return "new object";
  const label = objectOf(id)?.label;
  return label ? `${id} ${label}` : `object ${id}`;
}

/** @param {number} id */
export function isShown(id) {
  if (hidesAll.value) return false;
  return solo.value === null ? !hidden.value.has(id) : solo.value === id;
}

/** @param {number} wanted */
export function goTo(wanted) {
  frame.value = Math.max(0, Math.min(frameCount.value - 1, Math.round(wanted)));
}

let lastMessage = 0;

/**
 * @param {string} text
 * @param {boolean} [isProblem] problems stay until they are closed
 */
export function say(text, isProblem = false) {
  const id = (lastMessage += 1);
  messages.value = [...messages.value.slice(-3), { id, text, isProblem }];
  if (!isProblem) setTimeout(() => unsay(id), 6000);
}

/** @param {number} id */
export function unsay(id) {
  messages.value = messages.value.filter((message) => message.id !== id);
}

/** @param {unknown} err */
export function sayProblem(err) {
  const hint = /** @type {any} */ (err)?.hint;
  const text = err instanceof Error ? err.message : String(err);
  say(hint ? `${text} (${hint})` : text, true);
}
