// What is known of the selected object here, and what can be done to it.
import { write } from "../acts.js";
import { STATES } from "../lanes.js";
import { maskOf } from "../film/masks.js";
import { areaOf } from "../rle.js";
import { drawn, frame, isReadOnly, nameOf, objectOf, objects, selected } from "../state.js";
import { html } from "../vendor/preact.js";
import { CommandButton } from "./parts.js";

export function areObjectActsOff() {
  return isReadOnly.value || !selected.value;
}

export function SelectedObject() {
  const id = selected.value;
  if (id === null) return html`<p class="hint">Click an object, on the film or in the list.</p>`;
  if (id === 0) return html`<p class="hint">A new object: paint it, then press Enter.</p>`;
  const item = objectOf(id);
  if (!item) return null;
  drawn.value; // masks have come
  const row = maskOf(frame.value, id);
  const isSeed = item.seeds.includes(frame.value);
  const isPinned = item.pins.includes(frame.value);
  const score = row?.score === null || row?.score === undefined ? "" : `, score ${row.score.toFixed(2)}`;
  const text = row ? `${STATES[row.state]}, ${areaOf(row.counts)} pixels${score}` : "no mask on this frame";
  const isAlone = objects.value.length < 2;
  return html`<div class="selected" aria-label="The selected object" role="group">
    <h3>${nameOf(id)}</h3>
    <p>${text}</p>
    <p class="acts">
      <${CommandButton} name="rename">Rename</${CommandButton}>
      <${CommandButton} name="pin" isOn=${isPinned} isDisabled=${isSeed || !row}>Pin</${CommandButton}>
      <${CommandButton} name="absent">Not here</${CommandButton}>
      <${CommandButton} name="merge" isDisabled=${isAlone}>Merge</${CommandButton}>
      <${CommandButton} name="split" isDisabled=${frame.value === 0}>Split</${CommandButton}>
      <${CommandButton} name="swap" isDisabled=${isAlone}>Swap</${CommandButton}>
      ${isSeed &&
      html`<button
        type="button"
        disabled=${isReadOnly.value || item.seeds.length < 2}
        onClick=${() => write("DELETE", `objects/${id}/seeds/${frame.value}`)}
      >
        Remove seed
      </button>`}
      <${CommandButton} name="remove" kind="danger">Delete</${CommandButton}>
    </p>
  </div>`;
}
