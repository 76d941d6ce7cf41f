// The signs on buttons, drawn: fonts do not have them everywhere.
import { html } from "../vendor/preact.js";

/** Paths in a square of 16; lines, not filled, where `isLine`. */
const PATHS = {
  brush: { isLine: true, d: "M14 2 7 9M7 9c-2 0-3 1-3 3 0 1-1 2-2 2 3 1 6 0 6-3 0-1 0-1-1-2z" },
  eraser: { isLine: true, d: "M6 13 2 9l7-7 5 5-6 6zM5 6l5 5M6 13h8" },
  polygon: { isLine: true, d: "M8 2l6 5-3 7H4L2 6z" },
  fill: { isLine: true, d: "M7 2l6 6-5 5-6-6 5-5zM2 8h11M14 11c1 2 0 3 0 3s-1-1 0-3" },
  others: { isLine: true, d: "M2 2h8v8H2zM6 10v4h8V6h-4" },
  onion: { isLine: true, d: "M6 6m-4 0a4 4 0 1 0 8 0 4 4 0 1 0-8 0M10 10m-4 0a4 4 0 1 0 8 0 4 4 0 1 0-8 0" },
  follow: { isLine: true, d: "M8 8m-4 0a4 4 0 1 0 8 0 4 4 0 1 0-8 0M8 1v4M8 11v4M1 8h4M11 8h4" },
  apply: { isLine: true, d: "M2 9l4 4 8-10" },
  leave: { isLine: true, d: "M3 3l10 10M13 3 3 13" },
  first: { isLine: false, d: "M2 2h2v12H2zM14 2v12L5 8z" },
  last: { isLine: false, d: "M12 2h2v12h-2zM2 2v12l9-6z" },
  back: { isLine: false, d: "M11 2v12L3 8z" },
  on: { isLine: false, d: "M5 2v12l8-6z" },
  play: { isLine: false, d: "M3 1v14l11-7z" },
  pause: { isLine: false, d: "M3 2h4v12H3zM9 2h4v12H9z" },
  undo: { isLine: true, d: "M3 6h7a4 4 0 0 1 0 8H6M3 6l4-4M3 6l4 4" },
  redo: { isLine: true, d: "M13 6H6a4 4 0 0 0 0 8h4M13 6 9 2M13 6l-4 4" },
  eye: { isLine: true, d: "M1 8c4-6 10-6 14 0-4 6-10 6-14 0zM8 8m-2 0a2 2 0 1 0 4 0 2 2 0 1 0-4 0" },
  closedEye: { isLine: true, d: "M1 7c4 5 10 5 14 0M4 10l-2 3M8 11v3M12 10l2 3" },
  lock: { isLine: true, d: "M3 7h10v7H3zM5 7V5a3 3 0 0 1 6 0v2" },
  openLock: { isLine: true, d: "M3 7h10v7H3zM5 7V4a3 3 0 0 1 6 0" },
  alone: { isLine: true, d: "M8 8m-6 0a6 6 0 1 0 12 0 6 6 0 1 0-12 0M8 8m-2 0a2 2 0 1 0 4 0 2 2 0 1 0-4 0" },
};

/** @param {{name: string}} props */
export function Icon({ name }) {
  const { isLine, d } = PATHS[/** @type {keyof typeof PATHS} */ (name)];
  return html`<svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" class=${isLine ? "line" : "solid"}>
    <path d=${d} />
  </svg>`;
}
