// One lane for each object: its states over time, its seeds and pins; only those in sight are there.
import { lanes, overview, scores, wantLanes, wantScores } from "../lanes.js";
import { frame, frameCount, goTo, isPlaying, listed, nameOf, objectOf, selected } from "../state.js";
import { cssColor, settings } from "../settings.js";
import { html, signal, useEffect, useLayoutEffect, useRef, useState } from "../vendor/preact.js";
import { drawPending, drawScores, drawSeeds, drawStates, prepared } from "./lane_drawing.js";
import { LanesTable } from "./lanes_table.js";

const ROW = 22;
const TALL = 44; // the selected lane, with its score
const NAME = 140;
const SPARE = 3;
const MOST_ROWS = 56;

const width = signal(600);
const isTable = signal(false);

/** Colours of the page as they are now, for canvases. */
function inks() {
  const style = getComputedStyle(document.body);
  return { ink: style.getPropertyValue("--ink").trim(), ground: style.getPropertyValue("--ground").trim() };
}

/** @param {PointerEvent} event */
function seek(event) {
  const track = /** @type {HTMLElement} */ (event.currentTarget);
  const box = track.getBoundingClientRect();
  isPlaying.value = false;
  goTo(Math.floor(((event.clientX - box.left) / box.width) * frameCount.value));
}

/** @param {{id: number, top: number, isLarge: boolean}} props */
function LaneRow({ id, top, isLarge }) {
  const place = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const lane = lanes.value.get(id);
  const curve = isLarge && scores.value?.id === id ? scores.value : null;
  const height = (isLarge ? TALL : ROW) - 6;
  const color = cssColor(objectOf(id));
  useLayoutEffect(() => {
    if (!place.current) return;
    const look = { width: width.value, height: ROW - 6, frames: frameCount.value, color, ...inks() };
    const context = prepared(place.current, width.value, height);
    if (!lane) return;
    drawStates(context, lane.runs, look);
    drawPending(context, lane.pending, look);
    drawSeeds(context, lane, look);
    if (!curve) return;
    context.translate(0, ROW - 4);
    drawScores(context, curve.runs, { ...look, height: TALL - ROW - 4 });
  }, [lane, curve, width.value, height, color, settings.value, frameCount.value]);
  return html`<div
    class=${`lane ${isLarge ? "here" : ""}`}
    style=${{ transform: `translateY(${top}px)`, height: `${isLarge ? TALL : ROW}px` }}
    data-lane=${id}
  >
    <button
      type="button"
      class="lane-name"
      tabindex="-1"
      onClick=${() => (selected.value = id)}
    >
      <span class="swatch" style=${{ background: color }}></span>${nameOf(id)}
    </button>
    <canvas
      ref=${place}
      style=${{ width: `${width.value}px`, height: `${height}px` }}
      onPointerDown=${(/** @type {PointerEvent} */ event) => {
        selected.value = id;
        seek(event);
      }}
    ></canvas>
  </div>`;
}

function Overview() {
  const place = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  useLayoutEffect(() => {
    if (!place.current) return;
    const { ink } = inks();
    const context = prepared(place.current, width.value, 10);
    drawStates(context, overview.value, { width: width.value, height: 10, frames: frameCount.value, color: ink, ink });
  }, [overview.value, width.value, settings.value, frameCount.value]);
  return html`<div class="overview">
    <span class="lane-name">worst of all</span>
    <canvas ref=${place} style=${{ width: `${width.value}px`, height: "10px" }} onPointerDown=${seek}></canvas>
  </div>`;
}

/** Ids in sight, each with its place. */
function inSight(/** @type {number} */ top, /** @type {number} */ height) {
  const items = listed.value;
  const at = items.findIndex((item) => item.id === selected.value);
  const topOf = (/** @type {number} */ i) => i * ROW + (at >= 0 && i > at ? TALL - ROW : 0);
  const first = Math.max(0, Math.floor((top - TALL) / ROW) - SPARE);
  const count = Math.min(MOST_ROWS, Math.ceil(height / ROW) + 2 * SPARE + 2);
  const rows = items.slice(first, first + count).map((item, i) => ({
    id: item.id,
    top: topOf(first + i),
    isLarge: first + i === at,
  }));
  return { rows, whole: topOf(items.length), at, topOf };
}

export function Lanes() {
  const [top, setTop] = useState(0);
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const { rows, whole, at, topOf } = inSight(top, place.current?.clientHeight ?? 200);
  const ids = rows.map((row) => row.id).join(",");
  useEffect(() => wantLanes(rows.map((row) => row.id)), [ids]);
  useEffect(() => wantScores(selected.value ?? 0), [selected.value]);
  useEffect(() => {
    const box = place.current;
    if (!box) return undefined;
    const watch = new ResizeObserver(() => {
      width.value = Math.max(50, box.clientWidth - NAME - 8);
      setTop(box.scrollTop);
    });
    watch.observe(box);
    return () => watch.disconnect();
  }, [isTable.value]);
  useEffect(() => {
    const box = place.current;
    if (!box || at < 0) return;
    if (topOf(at) < box.scrollTop) box.scrollTop = topOf(at);
    if (topOf(at) + TALL > box.scrollTop + box.clientHeight) box.scrollTop = topOf(at) + TALL - box.clientHeight;
  }, [selected.value]);
  const playhead = NAME + ((frame.value + 0.5) * width.value) / Math.max(1, frameCount.value);
  return html`<section class="lanes" aria-labelledby="lanes-title">
    <header>
      <h2 id="lanes-title">Lanes</h2>
      <span class="legend" aria-hidden="true">
        <i class="given"></i>given <i class="tracked"></i>tracked <i class="occluded"></i>occluded
        <i class="lost"></i>lost <i class="returned"></i>returned <i class="pending"></i>to recompute ◆ seed ◇ pin
      </span>
      <button type="button" aria-pressed=${String(isTable.value)} onClick=${() => (isTable.value = !isTable.value)}>
        Table
      </button>
    </header>
    ${isTable.value
      ? html`<${LanesTable} ids=${rows.map((row) => row.id)} />`
      : html`<${Overview} />
          <div
            class="scroll"
            ref=${place}
            tabindex="0"
            role="group"
            aria-label="Lanes of objects; the button Table shows them as text"
            onScroll=${(/** @type {any} */ event) => setTop(event.target.scrollTop)}
          >
            <div class="rows" style=${{ height: `${whole}px` }}>
              ${rows.map((row) => html`<${LaneRow} key=${row.id} ...${row} />`)}
              <span class="playhead" style=${{ transform: `translateX(${playhead}px)` }}></span>
            </div>
          </div>`}
  </section>`;
}
