// What Enter and Escape do, from the innermost thing that is open outwards.
import { corners, closePolygon } from "./film/polygon.js";
import { painting } from "./painting.js";
import { dialog, say, selected, tool } from "./state.js";

export function isPolygonOpen() {
  return tool.value === "polygon" && corners.value.length > 0;
}

export function closeDialog() {
  const open = dialog.value;
  dialog.value = null;
  open?.done?.(false);
}

/** Enter: closes the polygon, or opens the preview of what is painted. */
export function applyDialog() {
  if (isPolygonOpen()) {
    closePolygon();
    return;
  }
  const now = painting.value;
  if (now?.isChanged) dialog.value = { name: "apply" };
  else if (now) say("Nothing is painted yet.");
}

/** Escape. */
export function leaveOff() {
  if (dialog.value) closeDialog();
  else if (isPolygonOpen()) corners.value = [];
  else if (tool.value !== "select") {
    if (painting.value?.isChanged) say("The draft stays; B goes on with it.");
    tool.value = "select";
    if (selected.value === 0) selected.value = null;
  } else selected.value = null;
}
