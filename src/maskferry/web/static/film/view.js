// Which part of the frame is seen: zoom and place.
import { video } from "../state.js";
import { signal } from "../vendor/preact.js";

/** Screen pixels per pixel of the video, and where the frame's corner lies on the stage. */
export const view = signal({ scale: 1, x: 0, y: 0 });

/** The stage, in screen pixels. */
export const stageSize = signal({ width: 0, height: 0 });

let isFitted = true;

/** @param {{scale: number, x: number, y: number}} next */
export function setView(next) {
  isFitted = false;
  view.value = next;
}

export function fitView() {
  const film = video.value;
  const { width, height } = stageSize.value;
  if (!film || !width) return;
  const scale = Math.min(width / film.width, height / film.height);
  view.value = { scale, x: (width - film.width * scale) / 2, y: (height - film.height * scale) / 2 };
  isFitted = true;
}

export function fullSize() {
  const { width, height } = stageSize.value;
  zoomAt(width / 2, height / 2, 1 / view.value.scale / devicePixelRatio);
}

/**
 * @param {number} width
 * @param {number} height
 */
export function resizeStage(width, height) {
  stageSize.value = { width, height };
  if (isFitted) fitView();
}

/**
 * Zooms so that what lies at a place of the stage stays there.
 * @param {number} x
 * @param {number} y
 * @param {number} factor
 */
export function zoomAt(x, y, factor) {
  const { scale, x: left, y: top } = view.value;
  const next = Math.max(0.05, Math.min(64, scale * factor));
  setView({ scale: next, x: x - ((x - left) * next) / scale, y: y - ((y - top) * next) / scale });
}

/**
 * Moves the view so that a pixel of the video lies in its middle.
 * @param {number} x
 * @param {number} y
 */
export function centreOn(x, y) {
  const { width, height } = stageSize.value;
  const { scale } = view.value;
  setView({ scale, x: width / 2 - x * scale, y: height / 2 - y * scale });
}

/**
 * The pixel of the video at a place of the stage.
 * @param {number} x
 * @param {number} y
 * @returns {[number, number]}
 */
export function pixelAt(x, y) {
  const { scale, x: left, y: top } = view.value;
  return [Math.floor((x - left) / scale), Math.floor((y - top) / scale)];
}
