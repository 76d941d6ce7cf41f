// What is drawn over the film in screen pixels: the brush's ring, the polygon, the crosshair, the onion skin.
import { decodeRle } from "../rle.js";
import { brushRadius, selected, showsOnion, shownFrame, tool, video } from "../state.js";
import { maskOf } from "./masks.js";
import { pointerAt } from "./pointer.js";
import { corners, cursor } from "./polygon.js";
import { stageSize, view } from "./view.js";

/** @param {HTMLCanvasElement} canvas */
export function drawMarks(canvas) {
  const { width, height } = stageSize.value;
  const ratio = devicePixelRatio;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    Object.assign(canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  if (showsOnion.value) drawOnion(context);
  drawPolygon(context);
  drawRing(context);
}

/**
 * Twice, black under white, so that it is seen on everything.
 * @param {CanvasRenderingContext2D} context
 * @param {number[]} [dashes]
 */
function line(context, dashes = []) {
  context.setLineDash(dashes);
  context.lineWidth = 3;
  context.strokeStyle = "black";
  context.stroke();
  context.lineWidth = 1.5;
  context.strokeStyle = "white";
  context.stroke();
}

/** @param {CanvasRenderingContext2D} context */
function drawRing(context) {
  const at = pointerAt.value;
  if (!at || !["brush", "eraser"].includes(tool.value)) return;
  const { scale, x, y } = view.value;
  context.beginPath();
  const radius = (brushRadius.value + 0.5) * scale;
  context.arc(x + (at[0] + 0.5) * scale, y + (at[1] + 0.5) * scale, radius, 0, Math.PI * 2);
  line(context, tool.value === "eraser" ? [4, 3] : []);
}

/** @param {CanvasRenderingContext2D} context */
function drawPolygon(context) {
  if (tool.value !== "polygon") return;
  const { scale, x, y } = view.value;
  /** @param {[number, number]} corner */
  const onStage = ([px, py]) => /** @type {const} */ ([x + (px + 0.5) * scale, y + (py + 0.5) * scale]);
  const next = cursor.value ?? pointerAt.value;
  const all = next && corners.value.length ? [...corners.value, next] : corners.value;
  context.beginPath();
  for (const corner of all) context.lineTo(...onStage(corner));
  if (all.length) line(context);
  for (const corner of corners.value) {
    const [cx, cy] = onStage(corner);
    context.beginPath();
    context.rect(cx - 3, cy - 3, 6, 6);
    line(context);
  }
  if (!cursor.value) return;
  const [cx, cy] = onStage(cursor.value);
  context.beginPath();
  context.moveTo(cx - 10, cy);
  context.lineTo(cx + 10, cy);
  context.moveTo(cx, cy - 10);
  context.lineTo(cx, cy + 10);
  line(context);
}

/**
 * The outline that the selected object had one frame before.
 * @param {CanvasRenderingContext2D} context
 */
function drawOnion(context) {
  const film = video.value;
  const row = maskOf(shownFrame.value - 1, selected.value ?? -1);
  if (!film || !row) return;
  const { width, height } = film;
  const mask = decodeRle(row.counts, height, width);
  const { scale, x, y } = view.value;
  context.beginPath();
  for (let i = 0, py = 0; py < height; py += 1) {
    for (let px = 0; px < width; px += 1, i += 1) {
      if (!mask[i]) continue;
      const left = x + px * scale;
      const top = y + py * scale;
      if (!px || !mask[i - 1]) side(context, left, top, left, top + scale);
      if (px + 1 === width || !mask[i + 1]) side(context, left + scale, top, left + scale, top + scale);
      if (!py || !mask[i - width]) side(context, left, top, left + scale, top);
      if (py + 1 === height || !mask[i + width]) side(context, left, top + scale, left + scale, top + scale);
    }
  }
  line(context, [3, 3]);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} x0
 * @param {number} y0
 * @param {number} x1
 * @param {number} y1
 */
function side(context, x0, y0, x1, y1) {
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
}
