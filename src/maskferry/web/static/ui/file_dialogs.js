// Dialogs of files: what goes in, what comes out.
import { startJob, write } from "../acts.js";
import { send } from "../api.js";
import { exporting, startExport, stopExport } from "../exports.js";
import { closeDialog } from "../leaving.js";
import { frame, nameOf, run, sayProblem } from "../state.js";
import { html, useEffect, useState } from "../vendor/preact.js";
import { counted, Dialog } from "./parts.js";

const OTHERS = [
  { name: "film", summary: "the video with its masks drawn in" },
  { name: "sheet", summary: "one picture with frames side by side" },
  { name: "tracks", summary: "the tracks file itself" },
];

export function ExportDialog() {
  const formats = [...(run.value?.formats ?? []), ...OTHERS];
  const [format, setFormat] = useState(formats[0]?.name ?? "tracks");
  const [palette, setPalette] = useState("default");
  const now = exporting.value;
  const options = ["film", "sheet"].includes(format) ? { palette } : {};
  return html`<${Dialog} name="export" title="Export">
    <label class="field">
      Format
      <select
        value=${format}
        disabled=${Boolean(now)}
        onChange=${(/** @type {any} */ event) => setFormat(event.target.value)}
        autofocus
      >
        ${formats.map((item) => html`<option value=${item.name}>${item.name}: ${item.summary}</option>`)}
      </select>
    </label>
    ${["film", "sheet"].includes(format) &&
    html`<label class="field">
      Colours
      <select value=${palette} onChange=${(/** @type {any} */ event) => setPalette(event.target.value)}>
        <option value="default">default</option>
        <option value="safe">safe for people who see fewer colours</option>
      </select>
    </label>`}
    ${now &&
    html`<p role="status">
      <progress aria-label="Export" value=${now.total ? (now.done ?? 0) : undefined} max=${now.total ?? undefined}></progress>
      ${" "}writing ${now.format}${now.total ? `, ${now.done} of ${now.total}` : "…"}
    </p>`}
    <footer>
      <button type="button" onClick=${now ? stopExport : closeDialog}>${now ? "Stop" : "Close"}</button>
      <button type="button" class="main" disabled=${Boolean(now)} onClick=${() => startExport(format, options)}>
        Export
      </button>
    </footer>
  </${Dialog}>`;
}

/** @param {File} file */
async function base64Of(file) {
  const url = await new Promise((done, fail) => {
    const reader = new FileReader();
    reader.onload = () => done(/** @type {string} */ (reader.result));
    reader.onerror = () => fail(reader.error);
    reader.readAsDataURL(file);
  });
  return url.slice(url.indexOf(",") + 1);
}

/** @typedef {{key: string, kinds: string[], objects: {id: number, label: string | null, frames: number[], is_new: boolean}[], conflicts: {object: number, frame: number}[], left_out: any[], notes: string[]}} Found */

/** @param {{found: Found}} props */
function ImportFound({ found }) {
  const [replace, setReplace] = useState(false);
  const apply = async () => {
    closeDialog();
    const answer = await write("POST", `imports/${found.key}`, { replace });
    if (answer) await startJob();
  };
  return html`<p>Read as ${found.kinds.join(", ")}:</p>
    <ul>
      ${found.objects.map(
        (item) => html`<li>
          ${item.is_new ? "new object" : nameOf(item.id)} (id ${item.id})${item.label ? ` ${item.label}` : ""}:
          ${" "}${counted(item.frames.length, "frame")} (${item.frames.slice(0, 6).join(", ")}${item.frames.length > 6 ? "…" : ""})
        </li>`,
      )}
      ${found.notes.map((note) => html`<li>${note}</li>`)}
      ${found.left_out.map((note) => html`<li>left out: ${typeof note === "string" ? note : JSON.stringify(note)}</li>`)}
    </ul>
    ${found.conflicts.length > 0 &&
    html`<label>
      <input type="checkbox" checked=${replace} onChange=${(/** @type {any} */ event) => setReplace(event.target.checked)} />
      Replace ${counted(found.conflicts.length, "mask")} given before
    </label>`}
    <footer>
      <button type="button" onClick=${closeDialog}>Cancel</button>
      <button type="button" class="main" disabled=${found.conflicts.length > 0 && !replace} onClick=${apply}>
        Import
      </button>
    </footer>`;
}

/** @param {{file: File | null}} props a file that was dropped on the page, or null */
export function ImportDialog({ file: dropped }) {
  const [found, setFound] = useState(/** @type {Found | null} */ (null));
  const [at, setAt] = useState(String(frame.value));
  /** @param {File | undefined} file */
  const choose = async (file) => {
    if (!file) return;
    if (file.size > (run.value?.limits.import_bytes ?? 0)) {
      sayProblem(new Error(`The file is larger than ${(run.value?.limits.import_bytes ?? 0) >> 20} MiB.`));
      return;
    }
    try {
      const data = await base64Of(file);
      setFound(await send("POST", "imports", { name: file.name, data, frame: at === "" ? null : Number(at) }));
    } catch (err) {
      sayProblem(err);
    }
  };
  useEffect(() => {
    if (dropped) choose(dropped);
  }, []);
  return html`<${Dialog} name="import" title="Import masks">
    ${found
      ? html`<${ImportFound} found=${found} />`
      : html`<p>A picture of labels, or annotations in a format that maskferry reads.</p>
          <label class="field">
            Frame of a single picture
            <input type="number" min="0" value=${at} onInput=${(/** @type {any} */ event) => setAt(event.target.value)} />
          </label>
          <label class="field">File <input type="file" onChange=${(/** @type {any} */ event) => choose(event.target.files[0])} autofocus /></label>
          <footer><button type="button" onClick=${closeDialog}>Cancel</button></footer>`}
  </${Dialog}>`;
}
