// The queue: moments at which to look, the worst first.
import { checkBack, judge, makeQueue, stopCheck } from "../acts.js";
import { send } from "../api.js";
import { COMMANDS, openRow } from "../commands.js";
import { isReadOnly, isWorking, nameOf, objectOf, queue, queueRow, revision, selected, video } from "../state.js";
import { cssColor } from "../settings.js";
import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { about, clock, counted } from "./parts.js";

const ROW = 92;
const SPARE = 4;

/** @param {import("../types.js").QueueRow} row */
function when(row) {
  const rate = video.value?.rate;
  const frames = row.stop - row.start > 1 ? `${row.start} to ${row.stop - 1}` : `${row.start}`;
  return rate ? `${frames} · ≈${clock(row.start / rate)}` : frames;
}

/** @param {import("../types.js").QueueRow} row */
function fix(row) {
  openRow(row);
  judge(row.key, "fix");
  if (selected.value !== null) COMMANDS.brush.run();
}

/** @param {{row: import("../types.js").QueueRow}} props */
function Cost({ row }) {
  const [text, setText] = useState("");
  useEffect(() => {
    let isOver = false;
    send("POST", "preview", { prompts: [[row.object, row.frame]], pins: [] }).then(
      ({ steps, seconds }) => {
        const time = seconds === null ? "" : `, ${about(seconds)}`;
        if (!isOver) setText(`correct: ${counted(steps, "step")}${time}`);
      },
      () => undefined, // a row of before, whose object is gone
    );
    return () => {
      isOver = true;
    };
  }, [row.key, revision.value]);
  return html`<span class="when">${text}</span>`;
}

/** @param {{row: import("../types.js").QueueRow, top: number}} props */
function Row({ row, top }) {
  const isHere = queueRow.value === row.key;
  const isDone = row.verdict && row.verdict !== "later" && row.holds;
  const answers = /** @type {const} */ (["fine", "fix", "later"]);
  const act = { fine: () => judge(row.key, "fine"), fix: () => fix(row), later: () => judge(row.key, "later") };
  return html`<li
    class=${`moment ${isHere ? "here" : ""} ${isDone ? "done" : ""}`}
    style=${{ transform: `translateY(${top}px)` }}
    aria-current=${isHere ? "true" : undefined}
    data-key=${row.key}
  >
    <button type="button" class="moment-text" onClick=${() => openRow(row)}>
      <span class="swatch" style=${{ background: cssColor(objectOf(row.object)) }}></span>
      <strong>${nameOf(row.object)}</strong> <span class="when">${when(row)}</span>
      ${row.still && html`<em class="still">still there</em>`}
      <span class="text">${row.text}</span>
    </button>
    <span class="answers">
      ${answers.map(
        (answer) => html`<button
          type="button"
          aria-pressed=${String(row.verdict === answer && row.holds)}
          aria-label=${`${answer}: ${row.text}`}
          disabled=${isReadOnly.value}
          onClick=${act[answer]}
        >
          ${answer[0].toUpperCase() + answer.slice(1)}
        </button>`,
      )}
      ${isHere && !isReadOnly.value && html`<${Cost} row=${row} />`}
    </span>
  </li>`;
}

function stateText() {
  const now = queue.value;
  if (!now) return "loading…";
  if (now.state === "working") return `looking${now.progress === null ? "" : ` ${Math.round(now.progress * 100)} %`}…`;
  if (now.state === "failed") return now.problem?.message ?? "the queue could not be made";
  const open = now.rows.filter((row) => !row.verdict || !row.holds).length;
  return now.rows.length ? `${open} of ${now.rows.length} open` : now.state === "none" ? "not made yet" : "nothing found";
}

export function Queue() {
  const [top, setTop] = useState(0);
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const rows = queue.value?.rows ?? [];
  const first = Math.max(0, Math.floor(top / ROW) - SPARE);
  const count = Math.ceil((place.current?.clientHeight ?? 800) / ROW) + 2 * SPARE;
  const canMake = queue.value && ["none", "failed", "outdated"].includes(queue.value.state);
  const isChecking = queue.value?.state === "working" && queue.value.progress !== null;
  const canCheck = queue.value?.state === "ready" && !isReadOnly.value && !isWorking.value;
  return html`<section class="queue" aria-labelledby="queue-title">
    <header>
      <h2 id="queue-title">Queue</h2>
      <span role="status">${stateText()}</span>
      ${canMake && html`<button type="button" onClick=${makeQueue}>Look now</button>`}
      ${canCheck &&
      html`<button
        type="button"
        title="Track every object back to its given mask, and show where both ways part. Takes as long as tracking did."
        onClick=${checkBack}
      >
        Track back
      </button>`}
      ${isChecking && html`<button type="button" onClick=${stopCheck}>Stop</button>`}
    </header>
    <div
      class="scroll"
      ref=${place}
      tabindex="0"
      role="group"
      aria-label="Moments"
      onScroll=${(/** @type {any} */ event) => setTop(event.target.scrollTop)}
    >
      <ol style=${{ height: `${rows.length * ROW}px` }}>
        ${rows
          .slice(first, first + count)
          .map((row, i) => html`<${Row} key=${row.key} row=${row} top=${(first + i) * ROW} />`)}
      </ol>
    </div>
  </section>`;
}
