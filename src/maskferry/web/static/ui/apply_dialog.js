// Before a mask is applied: what will be tracked again, and how far; a pin nearer by makes it less.
import { applyPainting, discardPainting } from "../acts.js";
import { ApiError, send } from "../api.js";
import { closeDialog } from "../leaving.js";
import { painting } from "../painting.js";
import { frameCount, nameOf, run } from "../state.js";
import { html, useEffect, useState } from "../vendor/preact.js";
import { about, counted, Dialog } from "./parts.js";

const MANY = 500; // steps, from which on pins are proposed
const PROPOSED = 100; // frames on either side

/** @typedef {import("../types.js").Preview} Preview */

/**
 * @param {number} object
 * @param {number} frame
 * @param {number[]} pins
 * @returns {Promise<Preview>}
 */
function preview(object, frame, pins) {
  const id = object || (run.value?.next_id ?? 1);
  return send("POST", "preview", { prompts: [[id, frame]], pins: pins.map((pin) => [id, pin]) });
}

/** @param {{side: string, value: number, min: number, max: number, set: (value: number) => void}} props */
function Handle({ side, value, min, max, set }) {
  return html`<label class="handle">
    <span>${side}: frame ${value}</span>
    <input
      type="range"
      min=${min}
      max=${max}
      value=${value}
      disabled=${min >= max}
      onInput=${(/** @type {any} */ event) => set(Number(event.target.value))}
    />
  </label>`;
}

/** @param {{found: Preview}} props */
function Cost({ found }) {
  if (!found.steps) return html`<p class="cost" data-steps="0">Nothing is tracked again.</p>`;
  const first = Math.min(...found.spans.map((span) => span.start));
  const last = Math.max(...found.spans.map((span) => span.stop)) - 1;
  const seconds = found.seconds === null ? "" : `, about ${about(found.seconds)}`;
  const isBoth = found.spans.some((span) => span.backward) ? ", forward and backward" : "";
  return html`<p class="cost" data-steps=${found.steps}>
    <strong>${counted(found.steps, "step")}${seconds}</strong>: frames ${first} to ${last} are tracked again${isBoth}.
  </p>`;
}

export function ApplyDialog() {
  const now = painting.value;
  const [found, setFound] = useState(/** @type {Preview | null} */ (null));
  const [problem, setProblem] = useState("");
  const [ends, setEnds] = useState(/** @type {{before: number, after: number} | null} */ (null));
  const [limits, setLimits] = useState(/** @type {{before: number, after: number} | null} */ (null));
  const object = now?.object ?? 0;
  const frame = now?.frame ?? 0;
  const canPin = object !== 0;
  const pins =
    ends && limits && canPin
      ? [ends.before, ends.after].filter((at, i) => at !== [limits.before, limits.after][i] && at !== frame)
      : [];
  useEffect(() => {
    let isOver = false;
    preview(object, frame, pins).then(
      (answer) => {
        if (isOver) return;
        setFound(answer);
        setProblem("");
        if (limits) return;
        const near = answer.neighbours[0] ?? { before: null, after: null };
        const first = { before: near.before ?? 0, after: near.after ?? frameCount.value - 1 };
        setLimits(first);
        setEnds(first);
      },
      (err) => !isOver && setProblem(err instanceof ApiError ? err.message : String(err)),
    );
    return () => {
      isOver = true;
    };
  }, [object, frame, pins.join(",")]);
  if (!now) return null;
  const isMuch = found && found.steps >= MANY && canPin && limits;
  const apply = () => {
    closeDialog();
    applyPainting(pins);
  };
  const propose = () =>
    limits &&
    setEnds({ before: Math.max(limits.before, frame - PROPOSED), after: Math.min(limits.after, frame + PROPOSED) });
  return html`<${Dialog} name="apply" title=${`Apply to ${nameOf(object)} on frame ${frame}`}>
    ${problem && html`<p class="problem" role="alert">${problem}</p>`}
    ${found ? html`<${Cost} found=${found} />` : html`<p>Counting…</p>`}
    ${canPin &&
    ends &&
    limits &&
    html`<${Handle}
        side="From"
        value=${ends.before}
        min=${limits.before}
        max=${frame}
        set=${(/** @type {number} */ before) => setEnds({ ...ends, before })}
      />
      <${Handle}
        side="To"
        value=${ends.after}
        min=${frame}
        max=${limits.after}
        set=${(/** @type {number} */ after) => setEnds({ ...ends, after })}
      />
      <p class="hint">
        ${pins.length ? `Pins the mask on frame ${pins.join(" and ")}: it stays as it is.` : "Move an end inwards to keep what is good there."}
      </p>`}
    ${isMuch && html`<p><button type="button" onClick=${propose}>Only ${PROPOSED} frames on either side</button></p>`}
    ${!run.value?.engine.ready &&
    html`<p class="problem">The mask will be saved; tracking waits: ${run.value?.engine.reason}</p>`}
    <footer>
      <button
        type="button"
        class="danger"
        onClick=${() => {
          closeDialog();
          discardPainting();
        }}
      >
        Discard the draft
      </button>
      <button type="button" onClick=${closeDialog}>Paint on</button>
      <button type="button" class="main" autofocus disabled=${Boolean(problem)} onClick=${apply}>Apply</button>
    </footer>
  </${Dialog}>`;
}
