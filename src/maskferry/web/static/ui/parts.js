// Small parts that the others are made of.
import { COMMANDS } from "../commands.js";
import { keysOf } from "../keys.js";
import { isReadOnly } from "../state.js";
import { html, useEffect, useRef } from "../vendor/preact.js";
import { closeDialog } from "../leaving.js";

/**
 * A button that does what a key does.
 * @param {{name: string, children?: any, isOn?: boolean, isDisabled?: boolean, kind?: string}} props
 */
export function CommandButton({ name, children, isOn, isDisabled = false, kind = "" }) {
  const { label, run, changes } = COMMANDS[name];
  const [key] = keysOf(name);
  return html`<button
    type="button"
    class=${kind}
    data-command=${name}
    title=${key ? `${label} (${key})` : label}
    aria-label=${label}
    aria-pressed=${isOn === undefined ? undefined : String(isOn)}
    disabled=${isDisabled || Boolean(changes && isReadOnly.value)}
    onClick=${run}
  >
    ${children}
  </button>`;
}

/**
 * A dialog above the page; the browser keeps the focus in it and gives it back.
 * @param {{title: string, children?: any, name: string}} props
 */
export function Dialog({ title, children, name }) {
  const place = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => {
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    place.current?.showModal();
    return () => before?.focus?.();
  }, []);
  return html`<dialog
    ref=${place}
    class=${`dialog-${name}`}
    aria-labelledby="dialog-title"
    onCancel=${(/** @type {Event} */ event) => {
      event.preventDefault();
      closeDialog();
    }}
  >
    <header>
      <h2 id="dialog-title">${title}</h2>
      <button type="button" class="close" aria-label="Close" onClick=${closeDialog}>✕</button>
    </header>
    ${children}
  </dialog>`;
}

/**
 * @param {number} seconds
 */
export function clock(seconds) {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - minutes * 60).toFixed(2).padStart(5, "0")}`;
}

/** @param {number} seconds */
export function about(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/**
 * @param {number} count
 * @param {string} one
 */
export function counted(count, one) {
  return `${count.toLocaleString("en")} ${one}${count === 1 ? "" : "s"}`;
}
