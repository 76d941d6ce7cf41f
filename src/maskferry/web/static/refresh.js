// Keeps the page's knowledge of the run up to date: reads it, and takes in the news.
import { connection, get } from "./api.js";
import { sendDraftsHere } from "./drafts.js";
import { fetchAhead } from "./film/frames.js";
import { fetchMasks, masksChanged } from "./film/masks.js";
import { lanesChanged } from "./lanes.js";
import { exportsNews } from "./exports.js";
import { dialog, queue, queueRow, revision, run, say, selected, startProblem } from "./state.js";

let isReading = false;
let isAgain = false;

/** Reads the run anew; one request at a time, and one more where news came meanwhile. */
export async function readRun() {
  if (isReading) {
    isAgain = true;
    return;
  }
  isReading = true;
  try {
    do {
      isAgain = false;
      const found = await get("run");
      run.value = found;
      if (found.revision > revision.value) revision.value = found.revision;
      const ids = found.objects.map((/** @type {any} */ item) => item.id);
      if (selected.value && !ids.includes(selected.value)) selected.value = null;
    } while (isAgain);
    startProblem.value = null;
  } catch (err) {
    if (!run.value) startProblem.value = /** @type {Error} */ (err);
  } finally {
    isReading = false;
  }
}

export async function readQueue() {
  try {
    queue.value = await get("queue");
    const rows = queue.value?.rows ?? [];
    if (!rows.some((row) => row.key === queueRow.value)) queueRow.value = rows[0]?.key ?? null;
  } catch {
    // the banner says that the server does not answer; the next news brings it
  }
}

/** @param {import("./live.js").News} news */
export function takeNews({ name, data }) {
  if (name === "hello") {
    takeRevision(data.revision, data.changes);
    if (run.value) run.value = { ...run.value, job: data.job };
    readRun();
    readQueue();
  } else if (name === "revision") takeRevision(data.revision, data.changes);
  else if (name === "job") takeJob(data);
  else if (name === "queue") readQueue();
  else if (name === "drafts" && run.value) run.value = { ...run.value, drafts: data.drafts };
  else if (name === "export") exportsNews(data);
  else if (name === "gone") dialog.value = { name: "gone", problem: data.problem };
  else if (name === "lost" || name === "bye") connection.value = "lost";
  else if (name === "again") takeAgain();
}

/**
 * @param {number} found
 * @param {import("./types.js").Changes} changes
 */
function takeRevision(found, changes) {
  if (found > revision.value) revision.value = found;
  const ids = Object.keys(changes).map(Number);
  if (!ids.length) return;
  lanesChanged(ids);
  masksChanged(changes);
  const isEdit = Object.values(changes).some((list) => !list.length || list.some(([a, b]) => b <= a || b > 1e12));
  if (isEdit || ids.some((id) => !run.value?.objects.some((item) => item.id === id))) readRun();
}

/** @param {import("./types.js").Job} job */
function takeJob(job) {
  const before = run.value?.job.state;
  if (run.value) run.value = { ...run.value, job };
  if (job.state === before) return;
  if (job.state === "idle" && before !== undefined) {
    say("Recomputed.");
    lanesChanged(job.objects.length ? job.objects : null);
  }
  if (["idle", "stopped", "failed", "died"].includes(job.state)) readRun();
}

async function takeAgain() {
  connection.value = "live";
  await readRun();
  await readQueue();
  lanesChanged(null);
  fetchAhead();
  fetchMasks();
  await sendDraftsHere();
}
