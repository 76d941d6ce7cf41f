// The pointer on the film: selecting, moving the view, painting.
import { fillFrom, paintLine } from "../brush.js";
import { beginStroke, changed, endStroke, keptPixels, painting } from "../painting.js";
import { brushRadius, isPlaying, isReadOnly, locked, say, selected, tool } from "../state.js";
import { signal } from "../vendor/preact.js";
import { closePolygon, corners, cursor, putCorner } from "./polygon.js";
import { idAt } from "./stage.js";
import { pixelAt, setView, view } from "./view.js";

/** The pixel of the video under the pointer. */
export const pointerAt = signal(/** @type {[number, number] | null} */ (null));

/** The id of the object under the pointer. */
export const hovered = signal(/** @type {number | null} */ (null));

/** @type {{kind: "pan", x: number, y: number} | {kind: "paint", last: [number, number], kept: Uint8Array | null} | null} */
let drag = null;
let isSpaceDown = false;
let hasPanned = false;

addEventListener("keydown", (event) => {
  if (event.key === " ") isSpaceDown = true;
});
addEventListener("keyup", (event) => {
  if (event.key === " ") isSpaceDown = false;
});

/** @param {PointerEvent} event */
function pixelOf(event) {
  const box = /** @type {HTMLElement} */ (event.currentTarget).getBoundingClientRect();
  return pixelAt(event.clientX - box.left, event.clientY - box.top);
}

/** @param {PointerEvent} event */
function down(event) {
  const target = /** @type {HTMLElement} */ (event.currentTarget);
  if (event.button > 1) return;
  isPlaying.value = false;
  target.setPointerCapture(event.pointerId);
  hasPanned = false;
  if (event.button === 1 || isSpaceDown || tool.value === "select") {
    drag = { kind: "pan", x: event.clientX, y: event.clientY };
    return;
  }
  beginPaint(pixelOf(event), event.detail);
}

/**
 * @param {[number, number]} at
 * @param {number} clicks
 */
function beginPaint(at, clicks) {
  const now = painting.value;
  if (!now) {
    explain();
    return;
  }
  cursor.value = null;
  if (tool.value === "polygon") putPoint(at, clicks);
  else if (tool.value === "fill") {
    beginStroke();
    changed(fillFrom(now.mask, at, now.mask.data[at[1] * now.mask.width + at[0]] ? 0 : 1, keptPixels()));
    endStroke();
  } else {
    beginStroke();
    drag = { kind: "paint", last: at, kept: keptPixels() };
    paintTo(at);
  }
}

function explain() {
  if (isReadOnly.value) say("This page was opened read-only.");
  else if (selected.value !== null && locked.value.has(selected.value)) say("This object is locked.");
}

/**
 * @param {[number, number]} at
 * @param {number} clicks
 */
function putPoint(at, clicks) {
  const first = corners.value[0];
  const near = 8 / view.value.scale;
  const isClosed = first && corners.value.length > 2 && Math.hypot(at[0] - first[0], at[1] - first[1]) <= near;
  if (isClosed || clicks > 1) closePolygon();
  else putCorner(at);
}

/** @param {[number, number]} at */
function paintTo(at) {
  const now = painting.value;
  if (!now || drag?.kind !== "paint") return;
  const value = tool.value === "eraser" ? 0 : 1;
  changed(paintLine(now.mask, drag.last, at, brushRadius.value, value, value ? drag.kept : null));
  drag.last = at;
}

/** @param {PointerEvent} event */
function move(event) {
  const at = pixelOf(event);
  pointerAt.value = at;
  if (drag?.kind === "pan") {
    const dx = event.clientX - drag.x;
    const dy = event.clientY - drag.y;
    if (!hasPanned && Math.hypot(dx, dy) < 4) return;
    hasPanned = true;
    setView({ ...view.value, x: view.value.x + dx, y: view.value.y + dy });
    drag.x = event.clientX;
    drag.y = event.clientY;
  } else if (drag?.kind === "paint") paintTo(at);
  else hovered.value = idAt(...at);
}

/** @param {PointerEvent} event */
function up(event) {
  const ended = drag;
  drag = null;
  if (ended?.kind === "paint") endStroke();
  else if (ended?.kind === "pan" && !hasPanned && tool.value === "select" && event.button === 0) {
    selected.value = idAt(...pixelOf(event));
  }
}

/** A stroke that the browser has broken off is finished as it is. */
function cancel() {
  if (drag?.kind === "paint") endStroke();
  drag = null;
}

function leave() {
  pointerAt.value = null;
  hovered.value = null;
}

export const onPointer = {
  onPointerDown: down,
  onPointerMove: move,
  onPointerUp: up,
  onPointerCancel: cancel,
  onPointerLeave: leave,
};
