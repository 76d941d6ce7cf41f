// How states over time look: by colour and by pattern, so that nothing is told by colour alone.
import { STATES } from "../lanes.js";

/** @typedef {import("../types.js").Lane} Lane */

/** Drawn in this order, so that what is bad is never hidden under what is good. */
const ORDER = [1, 0, 4, 2, 3];

/**
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 */
export function prepared(canvas, width, height) {
  const ratio = devicePixelRatio;
  Object.assign(canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.scale(ratio, ratio);
  return context;
}

/** @type {Map<string, CanvasPattern>} */
const patterns = new Map();

/**
 * Slanting lines, `every` pixels apart.
 * @param {CanvasRenderingContext2D} context
 * @param {string} color
 * @param {number} every
 */
function slanted(context, color, every) {
  const key = `${color} ${every}`;
  const known = patterns.get(key);
  if (known) return known;
  const tile = document.createElement("canvas");
  tile.width = tile.height = every;
  const brush = /** @type {CanvasRenderingContext2D} */ (tile.getContext("2d"));
  brush.strokeStyle = color;
  brush.lineWidth = every / 4;
  for (const shift of [-every, 0, every]) {
    brush.moveTo(shift, every);
    brush.lineTo(shift + every, 0);
  }
  brush.stroke();
  const made = /** @type {CanvasPattern} */ (context.createPattern(tile, "repeat"));
  patterns.set(key, made);
  return made;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {[number, number, number][]} runs
 * @param {{width: number, height: number, frames: number, color: string, ink: string}} look
 */
export function drawStates(context, runs, look) {
  const { width, height, frames, color, ink } = look;
  const at = (/** @type {number} */ index) => (index * width) / frames;
  for (const state of ORDER) {
    for (const [start, stop, found] of runs) {
      if (found !== state) continue;
      const x = at(start);
      drawState(context, STATES[state], x, Math.max(1, at(stop) - x), { height, color, ink });
    }
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {string} state
 * @param {number} x
 * @param {number} wide
 * @param {{height: number, color: string, ink: string}} look
 */
function drawState(context, state, x, wide, { height, color, ink }) {
  context.clearRect(x, 0, wide, height);
  context.fillStyle = color;
  if (state === "given") context.fillRect(x, 0, wide, height);
  else if (state === "tracked") context.fillRect(x, height * 0.2, wide, height * 0.6);
  else if (state === "occluded") {
    context.fillStyle = slanted(context, color, 6);
    context.fillRect(x, 0, wide, height);
  } else if (state === "lost") {
    context.fillStyle = ink;
    context.fillRect(x, height / 2, wide, 1);
  } else {
    context.fillRect(x, height * 0.2, wide, height * 0.6);
    context.fillStyle = ink;
    context.fillRect(x, 0, 2, height);
  }
}

/**
 * What is still to be tracked again: wide stripes over the states.
 * @param {CanvasRenderingContext2D} context
 * @param {[number, number][]} stretches
 * @param {{width: number, height: number, frames: number, ink: string}} look
 */
export function drawPending(context, stretches, { width, height, frames, ink }) {
  context.fillStyle = slanted(context, ink, 14);
  for (const [start, stop] of stretches) {
    context.fillRect((start * width) / frames, 0, Math.max(2, ((stop - start) * width) / frames), height);
  }
}

/**
 * Seeds as full diamonds, pins as hollow ones.
 * @param {CanvasRenderingContext2D} context
 * @param {Lane} lane
 * @param {{width: number, height: number, frames: number, ink: string, ground: string}} look
 */
export function drawSeeds(context, lane, { width, height, frames, ink, ground }) {
  /**
   * @param {number} index
   * @param {boolean} isFull
   */
  const diamond = (index, isFull) => {
    const x = ((index + 0.5) * width) / frames;
    const y = height / 2;
    context.beginPath();
    context.moveTo(x - 5, y);
    context.lineTo(x, y - 6);
    context.lineTo(x + 5, y);
    context.lineTo(x, y + 6);
    context.closePath();
    context.fillStyle = isFull ? ink : ground;
    context.fill();
    context.strokeStyle = isFull ? ground : ink;
    context.lineWidth = 1.5;
    context.stroke();
  };
  for (const pin of lane.pins) diamond(pin, false);
  for (const seed of lane.seeds) diamond(seed, true);
}

/**
 * The score over time as a line, 1 at the top.
 * @param {CanvasRenderingContext2D} context
 * @param {{start: number, scores: number[]}[]} runs
 * @param {{width: number, height: number, frames: number, ink: string}} look
 */
export function drawScores(context, runs, { width, height, frames, ink }) {
  context.beginPath();
  for (const { start, scores } of runs) {
    scores.forEach((score, i) => {
      const x = ((start + i + 0.5) * width) / frames;
      const y = 1 + (1 - Math.max(0, Math.min(1, score))) * (height - 2);
      if (i) context.lineTo(x, y);
      else context.moveTo(x, y);
    });
  }
  context.strokeStyle = ink;
  context.lineWidth = 1.5;
  context.stroke();
}
