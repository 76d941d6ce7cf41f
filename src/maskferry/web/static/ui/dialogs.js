// The dialog that is open, if any; and those that ask about what others have done.
import { takeOver } from "../acts.js";
import { closeDialog } from "../leaving.js";
import { dialog, nameOf } from "../state.js";
import { html } from "../vendor/preact.js";
import { ApplyDialog } from "./apply_dialog.js";
import { ExportDialog, ImportDialog } from "./file_dialogs.js";
import { HelpDialog } from "./help_dialog.js";
import { ObjectDialog } from "./object_dialogs.js";
import { Dialog } from "./parts.js";

/** @param {{message: string, objects: number[], done: (isAgreed: boolean) => void}} props */
function Conflict({ message, objects, done }) {
  return html`<${Dialog} name="conflict" title="Somebody else has changed this">
    <p>${message}</p>
    <p>
      Changed meanwhile: ${objects.map(nameOf).join(", ") || "other objects"}. Nothing was written; what you painted is
      kept as a draft.
    </p>
    <footer>
      <button type="button" onClick=${() => done(false)}>Show</button>
      <button type="button" class="main" onClick=${() => done(true)}>Apply on top</button>
    </footer>
  </${Dialog}>`;
}

/** @param {{draft: import("../drafts.js").Draft}} props */
function OthersDraft({ draft }) {
  const over = () => {
    closeDialog();
    takeOver(draft);
  };
  return html`<${Dialog} name="others-draft" title="Another tab paints this, too">
    <p>
      There is a draft of ${nameOf(draft.object)} on frame ${draft.frame} that another tab has saved. Yours is kept in
      this browser.
    </p>
    <footer>
      <button type="button" onClick=${closeDialog}>Leave both</button>
      <button type="button" class="main" onClick=${over}>Mine replaces it</button>
    </footer>
  </${Dialog}>`;
}

/** @param {{problem: string}} props */
function Gone({ problem }) {
  return html`<${Dialog} name="gone" title="The tracks file is gone">
    <p>${problem}</p>
    <p>Open it again with maskferry open. Drafts are kept.</p>
  </${Dialog}>`;
}

export function Dialogs() {
  const open = dialog.value;
  if (!open) return null;
  if (open.name === "apply") return html`<${ApplyDialog} />`;
  if (open.name === "export") return html`<${ExportDialog} />`;
  if (open.name === "import") return html`<${ImportDialog} file=${open.file ?? null} />`;
  if (open.name === "help") return html`<${HelpDialog} />`;
  if (open.name === "conflict") return html`<${Conflict} ...${open} />`;
  if (open.name === "othersDraft") return html`<${OthersDraft} draft=${open.draft} />`;
  if (open.name === "gone") return html`<${Gone} problem=${open.problem} />`;
  return html`<${ObjectDialog} key=${open.name} />`;
}
