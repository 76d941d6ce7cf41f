// The polygon that is being drawn, with the pointer or with keys.
import { paintPolygon } from "../brush.js";
import { beginStroke, changed, endStroke, keptPixels, painting } from "../painting.js";
import { signal } from "../vendor/preact.js";

export const corners = signal(/** @type {[number, number][]} */ ([]));

/** The crosshair for keys, in pixels of the video; null where none is used. */
export const cursor = signal(/** @type {[number, number] | null} */ (null));

/**
 * @param {number} dx
 * @param {number} dy
 */
export function moveCursor(dx, dy) {
  const now = painting.value;
  if (!now) return;
  const { width, height } = now.mask;
  const [x, y] = cursor.value ?? [width >> 1, height >> 1];
  cursor.value = [Math.max(0, Math.min(width - 1, x + dx)), Math.max(0, Math.min(height - 1, y + dy))];
}

/** @param {[number, number]} [at] */
export function putCorner(at) {
  if (!painting.value) return;
  if (!at && !cursor.value) moveCursor(0, 0);
  const corner = at ?? /** @type {[number, number]} */ (cursor.value);
  corners.value = [...corners.value, corner];
}

export function closePolygon() {
  const now = painting.value;
  if (now && corners.value.length > 2) {
    beginStroke();
    changed(paintPolygon(now.mask, corners.value, 1, keptPixels()));
    endStroke();
  }
  corners.value = [];
}
