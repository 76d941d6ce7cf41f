// A file that is dropped on the page is offered as an import; the browser does not open it instead.
import { dialog, isReadOnly } from "./state.js";

export function takeDroppedFiles() {
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    const file = event.dataTransfer?.files[0];
    if (file && !isReadOnly.value && !dialog.value) dialog.value = { name: "import", file };
  });
}
