// Masks that are being painted: after each stroke kept in this browser, then sent to the server. What the server has
// acknowledged is forgotten here. localStorage, not IndexedDB: it is written before the page can go away.
import { ApiError, clientName, get, send } from "./api.js";
import { dialog, run, sayProblem } from "./state.js";
import { signal } from "./vendor/preact.js";

/** @typedef {{object: number, frame: number, revision: number, counts: string, saved: number}} Draft */

/** "saved", "saving", or "here": the server has not got it yet, this browser has. */
export const draftState = signal(/** @type {"saved" | "saving" | "here"} */ ("saved"));

const PREFIX = "maskferry-draft";

/**
 * @param {number} object
 * @param {number} frame
 */
function placeOf(object, frame) {
  const video = run.value?.video;
  return `${PREFIX}|${video?.name}|${video?.width}x${video?.height}|${video?.frame_count}|${object}|${frame}|`;
}

/** @param {Draft} draft */
export function keepHere(draft) {
  localStorage.setItem(placeOf(draft.object, draft.frame) + clientName(), JSON.stringify(draft));
}

let sending = Promise.resolve();
let waiting = 0;

/**
 * Keeps a draft; resolves when the server has it or does not answer.
 * @param {Draft} draft
 * @param {boolean} [over] take over another tab's
 * @returns {Promise<void>}
 */
export function saveDraft(draft, over = false) {
  keepHere(draft);
  draftState.value = "saving";
  waiting += 1;
  sending = sending.then(async () => {
    waiting -= 1;
    if (waiting) return; // a newer one follows, which holds all of this one
    await put(draft, over);
  });
  return sending;
}

/**
 * @param {Draft} draft
 * @param {boolean} over
 */
async function put(draft, over) {
  const place = placeOf(draft.object, draft.frame) + clientName();
  const { width, height } = /** @type {import("./types.js").Video} */ (run.value?.video);
  const mask = { size: [height, width], counts: draft.counts };
  const body = { mask, revision: draft.revision, client: clientName(), over };
  try {
    await send("PUT", `drafts/${draft.object}/${draft.frame}`, body);
    if (localStorage.getItem(place) === JSON.stringify(draft)) localStorage.removeItem(place);
    draftState.value = "saved";
  } catch (err) {
    draftState.value = "here";
    if (err instanceof ApiError && err.kind === "DraftError") dialog.value = { name: "othersDraft", draft };
    else if (err instanceof ApiError && err.status) sayProblem(err);
  }
}

/**
 * The newest draft of an object on a frame: of those in this browser and the server's.
 * @param {number} object
 * @param {number} frame
 * @returns {Promise<Draft | null>}
 */
export async function readDraft(object, frame) {
  const found = draftsHere().filter((draft) => draft.object === object && draft.frame === frame);
  if (run.value?.drafts.some((note) => note.object === object && note.frame === frame)) {
    try {
      const { revision, saved, mask } = await get(`drafts/${object}/${frame}`);
      found.push({ object, frame, revision, counts: mask.counts, saved: saved * 1000 });
    } catch (err) {
      if (!(err instanceof ApiError)) throw err;
    }
  }
  return found.sort((a, b) => b.saved - a.saved)[0] ?? null;
}

/**
 * @param {number} object
 * @param {number} frame
 */
export async function dropDraft(object, frame) {
  for (const [key] of entriesHere()) if (key.startsWith(placeOf(object, frame))) localStorage.removeItem(key);
  await sending;
  draftState.value = "saved";
  await send("DELETE", `drafts/${object}/${frame}`);
}

/** @returns {[string, Draft][]} */
function entriesHere() {
  const prefix = placeOf(0, 0).replace(/\|0\|0\|$/, "|");
  const keys = Object.keys(localStorage).filter((key) => key.startsWith(prefix));
  return keys.map((key) => [key, JSON.parse(/** @type {string} */ (localStorage.getItem(key)))]);
}

/** Drafts that this browser has and the server has not. */
export function draftsHere() {
  return entriesHere().map(([, draft]) => draft);
}

/** Sends what this tab could not send, such as while the server was away. */
export async function sendDraftsHere() {
  for (const [key, draft] of entriesHere()) if (key.endsWith(clientName())) await saveDraft(draft);
}
