// What the user has set, kept in this browser: theme, palette, keys.
import { effect, signal } from "./vendor/preact.js";

const PLACE = "maskferry-settings";

/** @typedef {{theme: "system" | "dark" | "light", palette: "default" | "safe", hasKeys: boolean, keys: Record<string, string>}} Settings */

/** @returns {Settings} */
function read() {
  /** @type {Settings} */
  const plain = { theme: "system", palette: "default", hasKeys: true, keys: {} };
  try {
    return { ...plain, ...JSON.parse(localStorage.getItem(PLACE) ?? "{}") };
  } catch {
    return plain;
  }
}

export const settings = signal(read());

/** @param {Partial<Settings>} change */
export function set(change) {
  settings.value = { ...settings.value, ...change };
  localStorage.setItem(PLACE, JSON.stringify(settings.value));
}

effect(() => {
  document.documentElement.dataset.theme = settings.value.theme;
});

/**
 * @param {import("./types.js").TrackedObject | null} item null: one that is not there yet
 * @returns {[number, number, number]}
 */
export function colorOf(item) {
  if (!item) return [0, 200, 255];
  return settings.value.palette === "safe" ? item.safe_color : item.color;
}

/** @param {import("./types.js").TrackedObject | null} item */
export function cssColor(item) {
  return `rgb(${colorOf(item).join(" ")})`;
}
