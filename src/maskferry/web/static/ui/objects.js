// The list of objects: select, hide, lock, show alone, and what can be done to the selected one.
import { toggleIn } from "../commands.js";
import { Icon } from "./icons.js";
import { areObjectActsOff, SelectedObject } from "./selected.js";
import { dialog, filter, hidden, isReadOnly, listed, locked, selected, solo, tool } from "../state.js";
import { cssColor } from "../settings.js";
import { html, useEffect, useRef, useState } from "../vendor/preact.js";

const ROW = 34;
const SPARE = 4;

/** @param {{item: import("../types.js").TrackedObject, top: number}} props */
function Row({ item, top }) {
  const { id } = item;
  const name = item.label ? `${id} ${item.label}` : `${id}`;
  const isHere = selected.value === id;
  return html`<div
    class=${`object ${isHere ? "here" : ""}`}
    style=${{ transform: `translateY(${top}px)` }}
    data-object=${id}
  >
    <button
      type="button"
      class="name"
      aria-pressed=${String(isHere)}
      onClick=${() => (selected.value = id)}
      onDblClick=${() => !areObjectActsOff() && (dialog.value = { name: "rename", object: id })}
    >
      <span class="swatch" style=${{ background: cssColor(item) }}></span>
      <span class="id">${id}</span> <span class="label">${item.label ?? ""}</span>
    </button>
    <button
      type="button"
      aria-label=${`Show ${name}`}
      aria-pressed=${String(!hidden.value.has(id))}
      title="Show, hide"
      onClick=${() => toggleIn(hidden, id)}
    >
      <${Icon} name=${hidden.value.has(id) ? "closedEye" : "eye"} />
    </button>
    <button
      type="button"
      aria-label=${`Lock ${name}`}
      aria-pressed=${String(locked.value.has(id))}
      title="Lock: not painted, not painted over"
      onClick=${() => toggleIn(locked, id)}
    >
      <${Icon} name=${locked.value.has(id) ? "lock" : "openLock"} />
    </button>
    <button
      type="button"
      aria-label=${`Show only ${name}`}
      aria-pressed=${String(solo.value === id)}
      title="Show alone"
      onClick=${() => (solo.value = solo.value === id ? null : id)}
    >
      <${Icon} name="alone" />
    </button>
  </div>`;
}

function beginNew() {
  selected.value = 0;
  tool.value = "brush";
}

export function Objects() {
  const [top, setTop] = useState(0);
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const items = listed.value;
  useEffect(() => {
    const at = items.findIndex((item) => item.id === selected.value);
    const box = place.current;
    if (!box || at < 0) return;
    if (at * ROW < box.scrollTop) box.scrollTop = at * ROW;
    if ((at + 1) * ROW > box.scrollTop + box.clientHeight) box.scrollTop = (at + 1) * ROW - box.clientHeight;
  }, [selected.value]);
  const first = Math.max(0, Math.floor(top / ROW) - SPARE);
  const count = Math.min(50, Math.ceil((place.current?.clientHeight ?? 600) / ROW) + 2 * SPARE);
  return html`<section class="objects" aria-labelledby="objects-title">
    <header>
      <h2 id="objects-title">Objects</h2>
      <button type="button" onClick=${beginNew} disabled=${isReadOnly.value}>New</button>
    </header>
    <label class="filter">
      <span class="unseen">Filter objects</span>
      <input
        type="search"
        placeholder="filter by id or name"
        value=${filter.value}
        onInput=${(/** @type {any} */ event) => (filter.value = event.target.value)}
      />
    </label>
    <div
      class="scroll"
      ref=${place}
      tabindex="0"
      role="group"
      aria-label="Objects of the run"
      onScroll=${(/** @type {any} */ event) => setTop(event.target.scrollTop)}
    >
      <div class="rows" style=${{ height: `${items.length * ROW}px` }}>
        ${items
          .slice(first, first + count)
          .map((item, i) => html`<${Row} key=${item.id} item=${item} top=${(first + i) * ROW} />`)}
      </div>
    </div>
    <${SelectedObject} />
  </section>`;
}
