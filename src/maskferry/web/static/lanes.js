// States over time, of the objects whose lanes are in sight.
import { get } from "./api.js";
import { run } from "./state.js";
import { signal } from "./vendor/preact.js";

/** @typedef {import("./types.js").Lane} Lane */

export const STATES = ["given", "tracked", "occluded", "lost", "returned"];

const PAUSE = 400;
/** Milliseconds between two requests while masks change all the time. */

export const lanes = signal(/** @type {ReadonlyMap<number, Lane>} */ (new Map()));
export const overview = signal(/** @type {[number, number, number][]} */ ([]));
export const scores = signal(/** @type {{id: number, runs: {start: number, scores: number[]}[]} | null} */ (null));

/** @type {Set<number>} */
const wanted = new Set();
/** @type {Set<number>} ids whose lanes are others now */
const outdated = new Set();
let isOverviewOutdated = true;
let wantedScores = 0;
let areScoresOutdated = false;
let timer = 0;
let isAsking = false;

/** @param {number[]} ids those in sight */
export function wantLanes(ids) {
  wanted.clear();
  for (const id of ids) {
    wanted.add(id);
    if (!lanes.value.has(id)) outdated.add(id);
  }
  soon(0);
}

/** @param {number} id */
export function wantScores(id) {
  wantedScores = id;
  areScoresOutdated = true;
  soon(0);
}

/** @param {number[] | null} ids null: all */
export function lanesChanged(ids) {
  for (const id of ids ?? run.value?.objects.map((item) => item.id) ?? []) outdated.add(id);
  if (ids?.includes(wantedScores) ?? true) areScoresOutdated = true;
  isOverviewOutdated = true;
  soon(PAUSE);
}

/** @param {number} pause */
function soon(pause) {
  if (timer) return;
  timer = setTimeout(fetchMissing, pause);
}

async function fetchMissing() {
  timer = 0;
  if (isAsking) return soon(PAUSE);
  isAsking = true;
  try {
    await fetchLanes();
    if (isOverviewOutdated) {
      isOverviewOutdated = false;
      overview.value = (await get("lanes?overview=1")).runs;
    }
    if (wantedScores && areScoresOutdated) {
      areScoresOutdated = false;
      scores.value = await get(`scores/${wantedScores}`);
    }
  } catch {
    isOverviewOutdated = true; // asked for again with the next news
  } finally {
    isAsking = false;
  }
}

async function fetchLanes() {
  const ids = [...wanted].filter((id) => outdated.has(id) && run.value?.objects.some((item) => item.id === id));
  for (let i = 0; i < ids.length; i += 64) {
    const some = ids.slice(i, i + 64);
    for (const id of some) outdated.delete(id);
    const found = await get(`lanes?objects=${some.join(",")}`);
    const next = new Map(lanes.value);
    for (const lane of found.lanes) next.set(lane.id, lane);
    lanes.value = next;
  }
}

/** Seeds and pins of an object, ascending.
 * @param {number} id
 */
export function seedsOf(id) {
  const item = run.value?.objects.find((other) => other.id === id);
  return item ? [...item.seeds, ...item.pins].sort((a, b) => a - b) : [];
}
