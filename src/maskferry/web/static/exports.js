// Exports: asked for, followed, downloaded.
import { ApiError, ask, send } from "./api.js";
import { sayProblem } from "./state.js";
import { signal } from "./vendor/preact.js";

/** @typedef {{key: string, format: string, state: string, done: number | null, total: number | null, problem: any}} Export */

export const exporting = signal(/** @type {Export | null} */ (null));

const AGAIN = 300;

/**
 * @param {string} format
 * @param {Record<string, unknown>} options
 */
export async function startExport(format, options) {
  try {
    const { key } = await send("POST", "exports", { format, options });
    exporting.value = { key, format, state: "working", done: null, total: null, problem: null };
    await download(key);
  } catch (err) {
    exporting.value = null;
    if (!(err instanceof ApiError && err.status === 404)) sayProblem(err);
  }
}

export async function stopExport() {
  const key = exporting.value?.key;
  exporting.value = null;
  if (key) await send("DELETE", `exports/${key}`).catch(() => undefined);
}

/** @param {any} news */
export function exportsNews(news) {
  if (exporting.value?.key === news.key) exporting.value = { ...exporting.value, ...news };
}

/** @param {string} key */
async function download(key) {
  for (;;) {
    const response = await ask(`exports/${key}`);
    if (exporting.value?.key !== key) return;
    if (response.status === 200) {
      offer(await response.blob(), nameIn(response));
      exporting.value = null;
      return;
    }
    exportsNews(await response.json());
    await new Promise((done) => setTimeout(done, AGAIN));
  }
}

/** @param {Response} response */
function nameIn(response) {
  return /filename="?([^";]+)"?/.exec(response.headers.get("Content-Disposition") ?? "")?.[1] ?? "export";
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
function offer(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
