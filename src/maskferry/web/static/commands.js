// Everything that a key does, by name: what it is called, its usual keys, and the act.
import { applyDialog, closeDialog, isPolygonOpen, leaveOff } from "./leaving.js";
import { judge, redo, togglePin, undo } from "./acts.js";
import { seedsOf } from "./lanes.js";
import { painting } from "./painting.js";
import { fitView, fullSize } from "./film/view.js";
import {
  brushRadius,
  dialog,
  followsObject,
  frame,
  goTo,
  hidden,
  hidesAll,
  isPlaying,
  keepsOthers,
  listed,
  queue,
  queueRow,
  selected,
  showsOnion,
  tool,
} from "./state.js";

/** @typedef {{label: string, keys: string[], run: () => void, changes?: boolean}} Command */

/** @param {number} by */
const step = (by) => () => {
  isPlaying.value = false;
  goTo(frame.value + by);
};

/** @param {import("./state.js").Tool} wanted */
const pick = (wanted) => () => {
  if (selected.value === null && wanted !== "select") selected.value = 0;
  tool.value = tool.value === wanted ? "select" : wanted;
};

/** @param {-1 | 1} way */
const toSeed = (way) => () => {
  const seeds = seedsOf(selected.value ?? 0).filter((at) => (way > 0 ? at > frame.value : at < frame.value));
  const found = way > 0 ? seeds[0] : seeds.at(-1);
  if (found !== undefined) goTo(found);
};

/** @param {-1 | 1} way */
const toObject = (way) => () => {
  const ids = listed.value.map((item) => item.id);
  const at = ids.indexOf(selected.value ?? -1);
  selected.value = ids[Math.max(0, Math.min(ids.length - 1, at < 0 ? 0 : at + way))] ?? null;
};

/** @param {-1 | 1} way */
const toRow = (way) => () => {
  const rows = queue.value?.rows ?? [];
  const at = rows.findIndex((row) => row.key === queueRow.value);
  const row = rows[Math.max(0, Math.min(rows.length - 1, at + way))];
  if (row) openRow(row);
};

/** @param {import("./types.js").QueueRow} row */
export function openRow(row) {
  queueRow.value = row.key;
  selected.value = row.object;
  isPlaying.value = false;
  goTo(row.frame);
}

/** @param {string} name */
const open = (name) => () => {
  dialog.value = { name };
};

/** @param {string} name of an act on the selected object */
const onSelected = (name) => () => {
  if (selected.value) dialog.value = { name, object: selected.value };
};

/** @param {import("./vendor/preact.js").Signal<boolean>} flag */
const flip = (flag) => () => {
  flag.value = !flag.value;
};

/** @type {Record<string, Command>} */
export const COMMANDS = {
  back: { label: "A frame back", keys: ["ArrowLeft", "d"], run: step(-1) },
  on: { label: "A frame on", keys: ["ArrowRight", "f"], run: step(1) },
  back10: { label: "Ten frames back", keys: ["Shift+ArrowLeft"], run: step(-10) },
  on10: { label: "Ten frames on", keys: ["Shift+ArrowRight"], run: step(10) },
  seedBack: { label: "The seed or pin before", keys: ["Ctrl+ArrowLeft"], run: toSeed(-1) },
  seedOn: { label: "The next seed or pin", keys: ["Ctrl+ArrowRight"], run: toSeed(1) },
  first: { label: "The first frame", keys: ["Home"], run: step(-Infinity) },
  last: { label: "The last frame", keys: ["End"], run: step(Infinity) },
  play: { label: "Play, stop", keys: ["Space"], run: flip(isPlaying) },
  go: { label: "Go to a frame", keys: ["g"], run: () => document.getElementById("frame-number")?.focus() },
  rowBack: { label: "The moment before in the queue", keys: [","], run: toRow(-1) },
  rowOn: { label: "The next moment in the queue", keys: ["."], run: toRow(1) },
  fine: { label: "This moment is fine", keys: ["q"], run: () => queueRow.value && judge(queueRow.value, "fine") },
  objectBack: { label: "The object before", keys: ["ArrowUp"], run: toObject(-1) },
  objectOn: { label: "The next object", keys: ["ArrowDown"], run: toObject(1) },
  brush: { label: "Brush", keys: ["b"], run: pick("brush"), changes: true },
  eraser: { label: "Eraser", keys: ["e"], run: pick("eraser"), changes: true },
  polygon: { label: "Polygon", keys: ["l"], run: pick("polygon"), changes: true },
  fill: { label: "Fill", keys: ["u"], run: pick("fill"), changes: true },
  smaller: { label: "A smaller brush", keys: ["["], run: () => resize(-1) },
  larger: { label: "A larger brush", keys: ["]"], run: () => resize(1) },
  others: { label: "Preserve others", keys: ["x"], run: flip(keepsOthers) },
  onion: { label: "Onion skin", keys: ["o"], run: flip(showsOnion) },
  follow: { label: "Follow the object", keys: ["c"], run: flip(followsObject) },
  eye: { label: "Hide the object, show it", keys: ["v"], run: () => toggleIn(hidden, selected.value) },
  hideAll: { label: "Hide all, while held", keys: ["h"], run: () => (hidesAll.value = true) },
  fit: { label: "The whole frame", keys: ["0"], run: fitView },
  full: { label: "100 %", keys: ["1"], run: fullSize },
  apply: { label: "Apply what is painted", keys: ["Enter"], run: applyDialog, changes: true },
  leave: { label: "Leave (the draft stays)", keys: ["Escape"], run: leaveOff },
  pin: { label: "Pin the tracked mask", keys: ["a"], run: togglePin, changes: true },
  absent: { label: "Not here", keys: ["n"], run: onSelected("absent"), changes: true },
  rename: { label: "Rename", keys: ["F2"], run: onSelected("rename"), changes: true },
  merge: { label: "Merge", keys: ["m"], run: onSelected("merge"), changes: true },
  split: { label: "Split", keys: ["s"], run: onSelected("split"), changes: true },
  swap: { label: "Swap", keys: ["w"], run: onSelected("swap"), changes: true },
  remove: { label: "Delete", keys: ["Delete"], run: onSelected("remove"), changes: true },
  undo: { label: "Undo", keys: ["Ctrl+z"], run: undo, changes: true },
  redo: { label: "Redo", keys: ["Ctrl+Shift+z", "Ctrl+y"], run: redo, changes: true },
  export: { label: "Export", keys: ["Ctrl+e"], run: open("export") },
  help: { label: "Help", keys: ["?"], run: open("help") },
};

/** Also while a dialog is open or a key is held. */
export function release() {
  hidesAll.value = false;
}

/** @param {number} way */
function resize(way) {
  const radius = brushRadius.value;
  const by = Math.max(1, Math.round(radius / 5)) * way;
  brushRadius.value = Math.max(0, Math.min(200, radius + by));
}

/**
 * @param {import("./vendor/preact.js").Signal<ReadonlySet<number>>} ids
 * @param {number | null} id
 */
export function toggleIn(ids, id) {
  if (id === null) return;
  const next = new Set(ids.value);
  if (!next.delete(id)) next.add(id);
  ids.value = next;
}

export { closeDialog, isPolygonOpen, painting };
