// The lanes as a table: for screen readers, and for whoever wants the numbers.
import { lanes, STATES } from "../lanes.js";
import { goTo, nameOf, selected } from "../state.js";
import { html } from "../vendor/preact.js";

const MOST = 60; // rows

/** @param {number[]} ids */
function rowsOf(ids) {
  const chosen = selected.value && ids.includes(selected.value) ? [selected.value] : ids;
  return chosen.flatMap((id) =>
    (lanes.value.get(id)?.runs ?? []).map(([start, stop, state]) => ({ id, start, stop, state: STATES[state] })),
  );
}

/** @param {{ids: number[]}} props */
export function LanesTable({ ids }) {
  const rows = rowsOf(ids);
  return html`<div class="scroll" tabindex="0" role="group" aria-label="States over time">
    <table>
      <thead>
        <tr><th scope="col">Object</th><th scope="col">State</th><th scope="col">From</th><th scope="col">To</th></tr>
      </thead>
      <tbody>
        ${rows.slice(0, MOST).map(
          ({ id, start, stop, state }) => html`<tr key=${`${id} ${start}`}>
            <td>${nameOf(id)}</td>
            <td>${state}</td>
            <td><button type="button" onClick=${() => goTo(start)}>${start}</button></td>
            <td>${stop - 1}</td>
          </tr>`,
        )}
      </tbody>
    </table>
    ${rows.length > MOST && html`<p>${rows.length - MOST} more: select an object to see its own.</p>`}
  </div>`;
}
