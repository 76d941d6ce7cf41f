// Dialogs of acts on objects: rename, delete, not here, merge, split, swap.
import { startJob, write } from "../acts.js";
import { closeDialog } from "../leaving.js";
import { dialog, frame, frameCount, nameOf, objectOf, objects, say, selected } from "../state.js";
import { html, useState } from "../vendor/preact.js";
import { Dialog } from "./parts.js";

/** @param {{title: string, name: string, act: string, kind?: string, send: () => Promise<any>, children?: any}} props */
function Asked({ title, name, act, kind = "main", send, children }) {
  /** @param {Event} event */
  const submit = async (event) => {
    event.preventDefault();
    closeDialog();
    await send();
  };
  return html`<${Dialog} name=${name} title=${title}>
    <form onSubmit=${submit}>
      ${children}
      <footer>
        <button type="button" onClick=${closeDialog}>Cancel</button>
        <button type="submit" class=${kind}>${act}</button>
      </footer>
    </form>
  </${Dialog}>`;
}

/** @param {{set: (text: string) => void, value: string, label: string, type?: string, max?: number, min?: number}} props */
function Field({ set, value, label, ...rest }) {
  return html`<label class="field">
    ${label}
    <input value=${value} onInput=${(/** @type {any} */ event) => set(event.target.value)} autofocus ...${rest} />
  </label>`;
}

/** @param {{object: number}} props */
function Rename({ object }) {
  const [label, setLabel] = useState(objectOf(object)?.label ?? "");
  const send = () => write("PATCH", `objects/${object}`, { label: label.trim() || null });
  return html`<${Asked} name="rename" title=${`Rename ${nameOf(object)}`} act="Rename" send=${send}>
    <${Field} label="Name" value=${label} set=${setLabel} />
  </${Asked}>`;
}

/** @param {{object: number}} props */
function Remove({ object }) {
  const send = () => write("DELETE", `objects/${object}`);
  return html`<${Asked} name="remove" title=${`Delete ${nameOf(object)}`} act="Delete" kind="danger" send=${send}>
    <p>All its masks and prompts go away. Undo brings them back.</p>
  </${Asked}>`;
}

/** @param {{object: number}} props */
function Absent({ object }) {
  const [start, setStart] = useState(String(frame.value));
  const [last, setLast] = useState(String(frame.value));
  const send = async () => {
    const answer = await write("PUT", `objects/${object}/absent`, { start: Number(start), stop: Number(last) + 1 });
    if (answer) await startJob();
  };
  const max = frameCount.value - 1;
  return html`<${Asked} name="absent" title=${`${nameOf(object)} is not here`} act="Not here" send=${send}>
    <p>Its masks on these frames become empty, and a boundary for tracking, as a seed is.</p>
    <${Field} label="From frame" type="number" min=${0} max=${max} value=${start} set=${setStart} />
    <${Field} label="To frame" type="number" min=${0} max=${max} value=${last} set=${setLast} />
  </${Asked}>`;
}

/** @param {{object: number, other: number, set: (id: number) => void}} props */
function Other({ object, other, set }) {
  return html`<label class="field">
    With
    <select value=${other} onChange=${(/** @type {any} */ event) => set(Number(event.target.value))} autofocus>
      ${objects.value
        .filter((item) => item.id !== object)
        .map((item) => html`<option value=${item.id}>${nameOf(item.id)}</option>`)}
    </select>
  </label>`;
}

/** @param {number} object */
function firstOther(object) {
  return objects.value.find((item) => item.id !== object)?.id ?? 0;
}

/** @param {{object: number}} props */
function Merge({ object }) {
  const [other, setOther] = useState(firstOther(object));
  const send = () => write("POST", "objects/merge", { keep: object, other });
  return html`<${Asked} name="merge" title=${`Merge into ${nameOf(object)}`} act="Merge" send=${send}>
    <${Other} object=${object} other=${other} set=${setOther} />
    <p>${nameOf(other)} goes away; its masks become those of ${nameOf(object)}.</p>
  </${Asked}>`;
}

/** @param {{object: number}} props */
function Split({ object }) {
  const at = frame.value;
  const send = async () => {
    const answer = await write("POST", "objects/split", { object, frame: at });
    if (!answer) return;
    selected.value = answer.id;
    say(`Object ${answer.id} from frame ${at} on.`);
  };
  return html`<${Asked} name="split" title=${`Split ${nameOf(object)}`} act="Split" send=${send}>
    <p>Up to frame ${at - 1} it stays ${nameOf(object)}; from frame ${at} on it is a new object.</p>
  </${Asked}>`;
}

/** @param {{object: number}} props */
function Swap({ object }) {
  const [other, setOther] = useState(firstOther(object));
  const send = () => write("POST", "objects/swap", { first: object, second: other, frame: frame.value });
  return html`<${Asked} name="swap" title=${`Swap ${nameOf(object)}`} act="Swap" send=${send}>
    <${Other} object=${object} other=${other} set=${setOther} />
    <p>From frame ${frame.value} on, the masks of both change places.</p>
  </${Asked}>`;
}

const DIALOGS = { rename: Rename, remove: Remove, absent: Absent, merge: Merge, split: Split, swap: Swap };

export function ObjectDialog() {
  const open = dialog.value;
  const Found = DIALOGS[/** @type {keyof typeof DIALOGS} */ (open?.name)];
  return Found ? html`<${Found} object=${open?.object} />` : null;
}
