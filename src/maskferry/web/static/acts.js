// What the user can do to the tracks. Every write names the revision that he was looking at; where somebody else has
// changed the same objects meanwhile, nothing is written and he is asked.
import { ApiError, send } from "./api.js";
import { dropDraft, saveDraft } from "./drafts.js";
import { countsNow, endPainting, painting, redoStroke, undoStroke } from "./painting.js";
import { readQueue, readRun } from "./refresh.js";
import { dialog, frame, isReadOnly, revision, run, say, sayProblem, selected, writing } from "./state.js";

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {number} [base] the revision that the user was looking at
 * @returns {Promise<any>} the answer; null where it was refused, which the page has said
 */
export async function write(method, path, body, base = revision.value) {
  if (isReadOnly.value) {
    say("This page was opened read-only.", true);
    return null;
  }
  writing.value += 1;
  try {
    const answer = await send(method, path, body, base);
    if (answer.revision > revision.value) revision.value = answer.revision;
    await readRun();
    return answer;
  } catch (err) {
    if (err instanceof ApiError && err.kind === "OutdatedError") return await askOnTop(err, method, path, body);
    sayProblem(err);
    return null;
  } finally {
    writing.value -= 1;
  }
}

/**
 * @param {ApiError} err
 * @param {string} method
 * @param {string} path
 * @param {unknown} body
 */
async function askOnTop(err, method, path, body) {
  await readRun();
  const isAgreed = await new Promise((done) => {
    dialog.value = { name: "conflict", message: err.message, objects: err.problem.objects ?? [], done };
  });
  dialog.value = null;
  return isAgreed ? write(method, path, body, err.problem.revision) : null;
}

export async function startJob() {
  try {
    const { job } = await send("POST", "jobs", {});
    if (run.value) run.value = { ...run.value, job };
  } catch (err) {
    if (!(err instanceof ApiError && err.kind === "BusyError")) sayProblem(err);
  }
}

export async function stopJob() {
  try {
    await send("DELETE", "jobs/current");
  } catch (err) {
    sayProblem(err);
  }
}

function sizeHw() {
  const { width, height } = /** @type {import("./types.js").Video} */ (run.value?.video);
  return [height, width];
}

/**
 * Applies what is painted: one edit; then what it changes is tracked again.
 * @param {number[]} pins frames of tracked masks that are kept as they are
 */
export async function applyPainting(pins) {
  const now = painting.value;
  if (!now) return;
  const mask = { size: sizeHw(), counts: countsNow() };
  const { object, frame: index } = now;
  const answer = object
    ? await write("PUT", `objects/${object}/seeds/${index}`, { mask, pins }, now.revision)
    : await write("POST", "objects", { frame: index, mask });
  if (!answer) return;
  endPainting();
  if (!object) selected.value = answer.ids[0];
  dropDraft(object, index).catch(sayProblem);
  say(object ? `Corrected ${object} on frame ${index}.` : `Added object ${answer.ids[0]} on frame ${index}.`);
  await startJob();
}

/** Gives up what is painted. */
export async function discardPainting() {
  const now = painting.value;
  if (!now) return;
  endPainting();
  await dropDraft(now.object, now.frame).catch(sayProblem);
  say("The draft is gone.");
}

/**
 * Takes over another tab's draft.
 * @param {import("./drafts.js").Draft} draft
 */
export function takeOver(draft) {
  return saveDraft(draft, true);
}

export async function undo() {
  if (undoStroke()) return;
  const answer = await write("POST", "undo", {});
  if (answer) say(answer.what ? `Undone: ${answer.what}` : "There is nothing to undo.");
}

export async function redo() {
  if (redoStroke()) return;
  const answer = await write("POST", "redo", {});
  if (answer) say(answer.what ? `Done again: ${answer.what}` : "There is nothing to do again.");
}

/** Pins the tracked mask of the selected object here, or takes the pin away. */
export async function togglePin() {
  const id = selected.value;
  const item = run.value?.objects.find((other) => other.id === id);
  if (!item) return;
  const isPinned = item.pins.includes(frame.value);
  await write(isPinned ? "DELETE" : "PUT", `objects/${id}/pins/${frame.value}`);
}

/**
 * @param {string} key
 * @param {"fine" | "fix" | "later" | null} answer
 */
export async function judge(key, answer) {
  if (isReadOnly.value) return;
  try {
    await send("PUT", `queue/${encodeURIComponent(key)}/verdict`, { answer });
    await readQueue();
  } catch (err) {
    sayProblem(err);
  }
}

export async function makeQueue() {
  await askQueue("POST", "queue", {});
}

/** Track every object back, and show where both ways part. */
export async function checkBack() {
  await askQueue("POST", "queue", { check: true });
}

export async function stopCheck() {
  await askQueue("DELETE", "queue/check");
}

/**
 * @param {string} method
 * @param {string} path
 * @param {any} [body]
 */
async function askQueue(method, path, body) {
  try {
    await send(method, path, body);
    await readQueue();
  } catch (err) {
    sayProblem(err);
  }
}
