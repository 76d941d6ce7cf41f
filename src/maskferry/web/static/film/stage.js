// The film: three canvases over one another (frame, masks, tool), drawn when what they show has changed.
import { brushRadius, drawn, followsObject, frame, frameProblem, hidesAll, opacity, selected } from "../state.js";
import { hidden, nameOf, objectOf, run, shownFrame, showsOnion, solo, isShown, tool, video } from "../state.js";
import { colorOf, settings } from "../settings.js";
import { dirty, painted, painting } from "../painting.js";
import { effect, html, signal, useEffect, useRef } from "../vendor/preact.js";
import { MaskPicture, packed, paintedPart } from "./drawing.js";
import { pictureOf } from "./frames.js";
import { masksOf } from "./masks.js";
import { onPointer, hovered, pointerAt } from "./pointer.js";
import { drawMarks } from "./marks.js";
import { centreOn, resizeStage, stageSize, view, zoomAt } from "./view.js";

const OCCLUDED = 2;

/** @type {MaskPicture | null} */
let picture = null;

/** What lies under the pointer; the last drawn masks. */
export function idAt(/** @type {number} */ x, /** @type {number} */ y) {
  return picture?.idAt(x, y) ?? null;
}

/** For tests and benchmarks: what was drawn last, and when. */
export const lastDrawn = signal({ frame: -1, at: 0 });

/**
 * @param {HTMLCanvasElement} canvas
 */
function drawFrame(canvas) {
  const found = pictureOf(shownFrame.value);
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: false }));
  if (!found) {
    context.clearRect(0, 0, canvas.width, canvas.height);
    return;
  }
  const { width, height } = found.bitmap;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  context.drawImage(found.bitmap, 0, 0);
}

/** The masks that are to be seen, the selected one last, without the one that is being painted. */
function layersNow() {
  const rows = masksOf(shownFrame.value)?.masks ?? [];
  const now = painting.value;
  const isPainted = (/** @type {number} */ id) => now?.object === id && now.frame === shownFrame.value;
  const layers = rows
    .filter((row) => isShown(row.id) && !isPainted(row.id))
    .map((row) => ({
      id: row.id,
      counts: row.counts,
      color: colorOf(objectOf(row.id)),
      isSelected: row.id === selected.value,
      isHatched: row.state === OCCLUDED,
    }));
  return layers.sort((a, b) => Number(a.isSelected) - Number(b.isSelected));
}

/** @param {HTMLCanvasElement} canvas */
function drawMasks(canvas) {
  const film = video.value;
  if (!film) return;
  if (picture?.width !== film.width || picture.height !== film.height) {
    picture = new MaskPicture(film.width, film.height);
    Object.assign(canvas, { width: film.width, height: film.height });
  }
  picture.draw(layersNow(), opacity.value);
  /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")).putImageData(picture.image, 0, 0);
  lastDrawn.value = { frame: shownFrame.peek(), at: performance.now() };
}

/** @param {HTMLCanvasElement} canvas */
function drawPainting(canvas) {
  const film = video.value;
  if (!film) return;
  if (canvas.width !== film.width || canvas.height !== film.height) {
    Object.assign(canvas, { width: film.width, height: film.height });
  }
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const now = painting.value;
  if (!now || now.frame !== shownFrame.value) {
    context.clearRect(0, 0, canvas.width, canvas.height);
    dirty.box = "all";
    return;
  }
  const box = dirty.box === "all" ? now.bounds : dirty.box;
  if (dirty.box === "all") context.clearRect(0, 0, canvas.width, canvas.height);
  dirty.box = null;
  if (!box) return;
  const color = packed(colorOf(objectOf(now.object)), Math.max(0.35, opacity.value));
  context.putImageData(paintedPart(now.mask, box, color), box[0], box[1]);
}

/** Keeps the selected object in the middle. */
function follow() {
  shownFrame.value;
  if (!followsObject.value || !picture?.selectedBox) return;
  const [x0, y0, x1, y1] = picture.selectedBox;
  centreOn((x0 + x1) / 2, (y0 + y1) / 2);
}

/**
 * Runs with the next picture that the screen shows, however often it is asked for before.
 * @param {() => void} draw
 */
function once(draw) {
  let isAsked = false;
  return () => {
    if (isAsked) return;
    isAsked = true;
    requestAnimationFrame(() => {
      isAsked = false;
      draw();
    });
  };
}

/** @param {HTMLElement} stage */
function attach(stage) {
  const [film, masks, brush, marks] = /** @type {HTMLCanvasElement[]} */ ([...stage.querySelectorAll("canvas")]);
  const drawMasksSoon = once(() => {
    drawMasks(masks);
    follow();
  });
  const drawBrushSoon = once(() => drawPainting(brush));
  const drawMarksSoon = once(() => drawMarks(marks));
  const ends = [
    effect(() => {
      shownFrame.value;
      drawn.value;
      drawFrame(film);
    }),
    effect(() => {
      // What the masks depend on; they are drawn with the next picture of the screen.
      [shownFrame, drawn, opacity, selected, hidden, hidesAll, solo, run, settings, painting].map((part) => part.value);
      drawMasksSoon();
    }),
    effect(() => {
      [shownFrame, opacity, painting, painted, video, settings].map((part) => part.value);
      drawBrushSoon();
    }),
    effect(() => {
      [painting, pointerAt, brushRadius, tool, view, stageSize, showsOnion, shownFrame].map((part) => part.value);
      drawMarksSoon();
    }),
    effect(() => place([film, masks, brush])),
  ];
  const watch = new ResizeObserver(() => resizeStage(stage.clientWidth, stage.clientHeight));
  watch.observe(stage);
  stage.addEventListener("wheel", onWheel, { passive: false });
  return () => {
    for (const end of ends) end();
    watch.disconnect();
    stage.removeEventListener("wheel", onWheel);
  };
}

/** @param {HTMLCanvasElement[]} canvases */
function place(canvases) {
  const film = video.value;
  if (!film) return;
  const { scale, x, y } = view.value;
  for (const canvas of canvases) {
    canvas.style.width = `${film.width * scale}px`;
    canvas.style.height = `${film.height * scale}px`;
    canvas.style.transform = `translate(${x}px, ${y}px)`;
    canvas.style.imageRendering = scale > 2 ? "pixelated" : "auto";
  }
}

/** @param {WheelEvent} event */
function onWheel(event) {
  event.preventDefault();
  const box = /** @type {HTMLElement} */ (event.currentTarget).getBoundingClientRect();
  zoomAt(event.clientX - box.left, event.clientY - box.top, Math.exp(-event.deltaY / 400));
}

export function Stage() {
  const stage = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => attach(/** @type {HTMLElement} */ (stage.current)), []);
  const isWaiting = shownFrame.value !== frame.value && !frameProblem.value;
  const name = hovered.value === null || tool.value !== "select" ? null : nameOf(hovered.value);
  const label = `Frame ${frame.value}${selected.value ? `, ${nameOf(selected.value)} selected` : ""}`;
  return html`<div
    class=${`stage tool-${tool.value}`}
    ref=${stage}
    role="img"
    aria-label=${label}
    ...${onPointer}
  >
    <canvas class="film"></canvas><canvas class="masks"></canvas><canvas class="brush"></canvas
    ><canvas class="marks"></canvas>
    ${name && html`<div class="hover-name">${name}</div>`}
    ${isWaiting && html`<div class="waiting" role="status">decoding frame ${frame.value}…</div>`}
    ${frameProblem.value && html`<div class="frame-problem" role="status">${frameProblem.value}</div>`}
  </div>`;
}
