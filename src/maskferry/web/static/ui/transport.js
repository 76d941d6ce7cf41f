// Stepping and playing, the playhead, and which frames are loaded.
import { loaded, loadedRanges } from "../film/frames.js";
import { frame, frameCount, frameTime, goTo, isPlaying, shownFrame } from "../state.js";
import { html, signal } from "../vendor/preact.js";
import { Icon } from "./icons.js";
import { clock, CommandButton } from "./parts.js";

/** @param {PointerEvent} event */
function seek(event) {
  const track = /** @type {HTMLElement} */ (event.currentTarget);
  if (event.type === "pointerdown") track.setPointerCapture(event.pointerId);
  else if (!track.hasPointerCapture(event.pointerId)) return;
  const box = track.getBoundingClientRect();
  isPlaying.value = false;
  goTo(Math.floor(((event.clientX - box.left) / box.width) * frameCount.value));
}

/** @param {KeyboardEvent} event */
function slide(event) {
  const by = { ArrowUp: 1, ArrowDown: -1, PageUp: 50, PageDown: -50 }[event.key];
  if (!by) return;
  event.preventDefault();
  goTo(frame.value + by);
}

/** What is being typed as the frame's number, which news of the run must not take away; null where nothing is. */
const typed = signal(/** @type {string | null} */ (null));

/** @param {any} event */
function goToTyped(event) {
  if (event.target.value !== "") goTo(Number(event.target.value));
  typed.value = null;
  event.target.value = frame.value;
  event.target.blur();
}

/** @param {number} count */
const percent = (count) => `${(100 * count) / Math.max(1, frameCount.value)}%`;

export function Transport() {
  loaded.value; // frames have come
  const last = Math.max(0, frameCount.value - 1);
  const time = frameTime.value === null || shownFrame.value !== frame.value ? "" : clock(frameTime.value);
  return html`<section class="transport" aria-label="Transport">
    <${CommandButton} name="first"><${Icon} name="first" /></${CommandButton}>
    <${CommandButton} name="back"><${Icon} name="back" /></${CommandButton}>
    <${CommandButton} name="play" isOn=${isPlaying.value}>
      <${Icon} name=${isPlaying.value ? "pause" : "play"} />
    </${CommandButton}>
    <${CommandButton} name="on"><${Icon} name="on" /></${CommandButton}>
    <${CommandButton} name="last"><${Icon} name="last" /></${CommandButton}>
    <label class="number">
      frame
      <input
        id="frame-number"
        type="number"
        min="0"
        max=${last}
        value=${typed.value ?? frame.value}
        onInput=${(/** @type {any} */ event) => (typed.value = event.target.value)}
        onChange=${goToTyped}
        onBlur=${() => (typed.value = null)}
      />
      <span class="time">/ ${last} ${time && `· ${time}`}</span>
    </label>
    <div
      class="track"
      role="slider"
      tabindex="0"
      aria-label="Playhead"
      aria-valuemin="0"
      aria-valuemax=${last}
      aria-valuenow=${frame.value}
      aria-valuetext=${`frame ${frame.value} of ${last}${time && `, ${time}`}`}
      onPointerDown=${seek}
      onPointerMove=${seek}
      onKeyDown=${slide}
    >
      ${loadedRanges().map(
        ([a, b]) => html`<span class="loaded" style=${{ left: percent(a), width: percent(b - a) }}></span>`,
      )}
      <span class="playhead" style=${{ left: percent(frame.value + 0.5) }}></span>
    </div>
  </section>`;
}
