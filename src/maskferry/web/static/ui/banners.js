// What the user must know: the server is away, the worker died, the video is missing, drafts wait; and short messages.
import { startJob, undo } from "../acts.js";
import { connection } from "../api.js";
import { draftsHere, draftState } from "../drafts.js";
import { painting } from "../painting.js";
import { frame, goTo, isReadOnly, job, messages, nameOf, objects, run, selected, tool, unsay } from "../state.js";
import { html } from "../vendor/preact.js";

/** @param {{kind: string, children?: any}} props */
function Banner({ kind, children }) {
  return html`<div class=${`banner ${kind}`} role="status">${children}</div>`;
}

function Connection() {
  if (connection.value === "live") return null;
  if (connection.value === "refused") {
    return html`<${Banner} kind="problem">
      The server does not know this page. Open the address that maskferry open printed.
    </${Banner}>`;
  }
  return html`<${Banner} kind="problem">
    The server does not answer. You can paint on: drafts are kept in this browser. Trying again…
  </${Banner}>`;
}

function JobProblem() {
  const now = job.value;
  if (!now || !["failed", "died"].includes(now.state)) return null;
  const text = now.state === "died" ? "The process that tracks has died." : "Tracking has failed.";
  return html`<${Banner} kind="problem">
    <span>${text} ${now.problem?.message} What was finished is kept. ${now.problem?.hint ?? ""}</span>
    <button type="button" onClick=${startJob} disabled=${isReadOnly.value}>Try again</button>
    <button type="button" onClick=${undo} disabled=${isReadOnly.value}>Take back</button>
  </${Banner}>`;
}

function VideoProblem() {
  const now = run.value;
  if (!now) return null;
  const { video, engine } = now;
  return html`${!video.available &&
    html`<${Banner} kind="note">
      The video cannot be read: ${video.problem} Masks, lanes and names are still here.
    </${Banner}>`}
    ${video.stopped_at !== null &&
    html`<${Banner} kind="note">The video is damaged: it cannot be read from frame ${video.stopped_at} on.</${Banner}>`}
    ${!engine.ready && html`<${Banner} kind="note">Nothing can be tracked here: ${engine.reason}</${Banner}>`}`;
}

/** Drafts that nobody is painting, the server's and this browser's, each once. */
function waitingDrafts() {
  draftState.value; // drafts of this browser have changed
  const all = [...(run.value?.drafts ?? []), ...(run.value ? draftsHere() : [])];
  const now = painting.value;
  const byPlace = new Map(all.map((draft) => [`${draft.object} ${draft.frame}`, draft]));
  if (now) byPlace.delete(`${now.object} ${now.frame}`);
  return [...byPlace.values()].filter(({ object }) => !object || objects.value.some((item) => item.id === object));
}

function Drafts() {
  const [draft, ...others] = waitingDrafts();
  if (!draft || isReadOnly.value) return null;
  const goOn = () => {
    selected.value = draft.object;
    goTo(draft.frame);
    tool.value = "brush";
  };
  const isHere = draft.frame === frame.value ? "" : ` on frame ${draft.frame}`;
  return html`<${Banner} kind="note draft">
    <span>
      A draft of ${nameOf(draft.object)}${isHere} is not applied
      yet${others.length ? `; ${others.length} more after it` : ""}.
    </span>
    <button type="button" onClick=${goOn}>Go on with it</button>
  </${Banner}>`;
}

function Empty() {
  if (!run.value || objects.value.length || selected.value !== null) return null;
  const begin = () => {
    selected.value = 0;
    tool.value = "brush";
  };
  return html`<${Banner} kind="note empty">
    <span>Nothing is tracked yet. Go to a frame that shows the object well, and paint the first mask.</span>
    <button type="button" onClick=${begin} disabled=${isReadOnly.value}>Paint the first mask</button>
  </${Banner}>`;
}

export function Banners() {
  return html`<div class="banners">
    <${Connection} /><${JobProblem} /><${VideoProblem} /><${Drafts} /><${Empty} />
  </div>`;
}

export function Messages() {
  return html`<div class="messages" role="status" aria-live="polite">
    ${messages.value.map(
      ({ id, text, isProblem }) => html`<p key=${id} class=${isProblem ? "problem" : ""}>
        <span>${text}</span>
        <button type="button" aria-label="Close the message" onClick=${() => unsay(id)}>✕</button>
      </p>`,
    )}
  </div>`;
}
