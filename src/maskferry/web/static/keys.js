// Keys: which one does what (remappable, and all of them can be switched off), and the listener.
import { COMMANDS, release } from "./commands.js";
import { moveCursor, putCorner } from "./film/polygon.js";
import { leaveOff } from "./leaving.js";
import { dialog, isReadOnly, tool } from "./state.js";
import { settings } from "./settings.js";

/**
 * The keys of a command, as the user has set them.
 * @param {string} name
 */
export function keysOf(name) {
  const own = settings.value.keys[name];
  return own === undefined ? COMMANDS[name].keys : own ? [own] : [];
}

/** @param {KeyboardEvent} event */
export function keyName(event) {
  let key = event.key === " " ? "Space" : event.key;
  if (key.length === 1) key = key.toLowerCase();
  const isLetter = /^[a-z]$/.test(key) || key.length > 1;
  const parts = [event.ctrlKey || event.metaKey ? "Ctrl" : "", event.altKey ? "Alt" : ""];
  parts.push(event.shiftKey && isLetter ? "Shift" : "", key); // with "?" the Shift is in the key already
  return parts.filter(Boolean).join("+");
}

/** @param {string} key */
export function commandOf(key) {
  return Object.keys(COMMANDS).find((name) => keysOf(name).includes(key)) ?? null;
}

/** @param {KeyboardEvent} event */
function isTyping(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  return target.matches("input:not([type=range], [type=checkbox]), textarea, select");
}

/** @param {KeyboardEvent} event */
function isOwnKey(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  const key = keyName(event);
  if (target.matches("button, summary, a, [role=tab]")) return key === "Enter" || key === "Space";
  if (target.matches("input[type=checkbox]")) return key === "Space";
  if (target.matches("input[type=range]")) return key.includes("Arrow") || key === "Home" || key === "End";
  return target.matches("[role=slider]") && ["ArrowUp", "ArrowDown", "PageUp", "PageDown"].includes(key);
}

/** @param {KeyboardEvent} event */
function takePolygonKey(event) {
  const key = keyName(event);
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const way = ways[/** @type {keyof typeof ways} */ (key.replace("Shift+", ""))];
  if (way) {
    const by = event.shiftKey ? 10 : 1;
    moveCursor(way[0] * by, way[1] * by);
  } else if (key === "Space") putCorner();
  else return false;
  return true;
}

/** @param {KeyboardEvent} event */
function press(event) {
  if (event.defaultPrevented || isTyping(event) || isOwnKey(event)) return;
  const key = keyName(event);
  if (dialog.value) {
    if (key === "Escape") leaveOff();
    return;
  }
  const isPlain = !event.ctrlKey && !event.metaKey && key.replace("Shift+", "").length === 1;
  if (isPlain && !settings.value.hasKeys) return;
  if (tool.value === "polygon" && takePolygonKey(event)) {
    event.preventDefault();
    return;
  }
  const name = commandOf(key);
  if (!name || (COMMANDS[name].changes && isReadOnly.value)) return;
  event.preventDefault();
  COMMANDS[name].run();
}

export function listenToKeys() {
  addEventListener("keydown", press);
  addEventListener("keyup", release);
  addEventListener("blur", release);
}
