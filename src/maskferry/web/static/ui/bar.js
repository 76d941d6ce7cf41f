// The bar at the top: the run, what is saved, undo and redo, the job, export, help.
import { connection } from "../api.js";
import { startJob, stopJob } from "../acts.js";
import { draftState } from "../drafts.js";
import { painting } from "../painting.js";
import { dialog, isReadOnly, isWorking, job, run, writing } from "../state.js";
import { settings, set } from "../settings.js";
import { html } from "../vendor/preact.js";
import { Icon } from "./icons.js";
import { CommandButton, counted } from "./parts.js";

function savedText() {
  if (isReadOnly.value) return "read-only";
  if (connection.value === "lost" || draftState.value === "here") return "kept in this browser";
  return writing.value || draftState.value === "saving" ? "saving…" : "saved";
}

function JobPart() {
  const now = job.value;
  const pending = run.value?.pending;
  if (isWorking.value && now) {
    const total = now.total ?? 0;
    const text = now.state === "starting" ? "loading the engine…" : `recompute ${now.done}/${total || "?"}`;
    return html`<span class="job" data-state=${now.state}>
      <progress aria-label="Recompute" value=${total ? now.done : undefined} max=${total || undefined}></progress>
      <span>${text}</span>
      <button type="button" onClick=${stopJob} disabled=${now.state === "stopping"}>Stop</button>
    </span>`;
  }
  if (!pending?.steps) return null;
  const text = pending.done
    ? `${pending.done} of ${counted(pending.done + pending.steps, "step")} made`
    : `${counted(pending.steps, "step")} to do`;
  const isOff = isReadOnly.value || !run.value?.engine.ready;
  return html`<span class="job" data-state="waiting">
    <span>${text}</span>
    <button type="button" onClick=${startJob} disabled=${isOff}>Continue</button>
    <${CommandButton} name="undo">Take back</${CommandButton}>
  </span>`;
}

export function Bar() {
  const now = run.value;
  if (!now) return null;
  const history = now.history;
  const hasStrokes = Boolean(painting.value?.done.length);
  const canRedo = Boolean(painting.value?.undone.length || history.redo);
  return html`<header class="bar">
    <h1>${now.video.name}</h1>
    <span class="saved" role="status">${savedText()}</span>
    <span class="group">
      <${CommandButton} name="undo" isDisabled=${!hasStrokes && !history.undo.length}><${Icon} name="undo" /> Undo</${CommandButton}>
      <${CommandButton} name="redo" isDisabled=${!canRedo}><${Icon} name="redo" /> Redo</${CommandButton}>
    </span>
    <${JobPart} />
    <span class="space"></span>
    <button type="button" onClick=${() => (dialog.value = { name: "import" })} disabled=${isReadOnly.value}>
      Import
    </button>
    <${CommandButton} name="export">Export</${CommandButton}>
    <label class="theme">
      <span class="unseen">Theme</span>
      <select
        value=${settings.value.theme}
        onChange=${(/** @type {any} */ event) => set({ theme: event.target.value })}
      >
        <option value="system">System</option>
        <option value="dark">Dark</option>
        <option value="light">Light</option>
      </select>
    </label>
    <${CommandButton} name="help">?</${CommandButton}>
  </header>`;
}
