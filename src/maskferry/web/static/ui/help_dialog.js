// Help: the keys, which can be changed, and switched off.
import { COMMANDS } from "../commands.js";
import { commandOf, keyName, keysOf } from "../keys.js";
import { closeDialog } from "../leaving.js";
import { say } from "../state.js";
import { set, settings } from "../settings.js";
import { html, useState } from "../vendor/preact.js";
import { Dialog } from "./parts.js";

const MODIFIERS = ["Shift", "Control", "Alt", "Meta"];

/** @param {{name: string}} props */
function KeyRow({ name }) {
  const [isAsking, setAsking] = useState(false);
  /** @param {KeyboardEvent} event */
  const take = (event) => {
    if (!isAsking || MODIFIERS.includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    setAsking(false);
    const key = keyName(event);
    if (key === "Escape") return;
    const other = commandOf(key);
    if (other && other !== name) {
      say(`${key} is taken: ${COMMANDS[other].label}.`, true);
      return;
    }
    set({ keys: { ...settings.value.keys, [name]: key } });
  };
  return html`<tr>
    <td>${COMMANDS[name].label}</td>
    <td>${keysOf(name).map((key) => html`<kbd>${key}</kbd> `)}</td>
    <td>
      <button
        type="button"
        aria-label=${`Change the key of: ${COMMANDS[name].label}`}
        onClick=${() => setAsking(!isAsking)}
        onKeyDown=${take}
        onBlur=${() => setAsking(false)}
      >
        ${isAsking ? "press a key" : "change"}
      </button>
    </td>
  </tr>`;
}

export function HelpDialog() {
  return html`<${Dialog} name="help" title="Keys and settings">
    <p>
      <label>
        <input
          type="checkbox"
          checked=${settings.value.hasKeys}
          onChange=${(/** @type {any} */ event) => set({ hasKeys: event.target.checked })}
        />
        Keys of one letter or sign
      </label>
      ${" "}
      <label>
        <input
          type="checkbox"
          checked=${settings.value.palette === "safe"}
          onChange=${(/** @type {any} */ event) => set({ palette: event.target.checked ? "safe" : "default" })}
        />
        Colours for people who see fewer
      </label>
    </p>
    <p class="hint">
      The wheel zooms; dragging moves the film, while painting with Space held. With the polygon, arrow keys move a
      crosshair, Space sets a corner, Enter closes it.
    </p>
    <div class="scroll" tabindex="0" role="group" aria-label="Keys">
      <table>
        <thead>
          <tr><th scope="col">What</th><th scope="col">Keys</th><th scope="col">Change</th></tr>
        </thead>
        <tbody>
          ${Object.keys(COMMANDS).map((name) => html`<${KeyRow} key=${name} name=${name} />`)}
        </tbody>
      </table>
    </div>
    <footer>
      <button type="button" onClick=${() => set({ keys: {} })}>Keys as they were</button>
      <button type="button" class="main" onClick=${closeDialog}>Close</button>
    </footer>
  </${Dialog}>`;
}
