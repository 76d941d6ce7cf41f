// Requests to the server: the token, the revision, and errors as the API describes them.
import { signal } from "./vendor/preact.js";

const BASE = "api/v1/";
const TOKEN = "maskferry-token";

/** Whether the server answers: "live", "lost" (no answer), "refused" (no token, or a wrong one). */
export const connection = signal(/** @type {"live" | "lost" | "refused"} */ ("live"));

/** Takes the token out of the address, where it must not stay. */
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(TOKEN, given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(TOKEN);
}

/** Whose drafts are whose: the same as long as the tab lives. */
export function clientName() {
  const known = sessionStorage.getItem("maskferry-client");
  if (known) return known;
  const made = crypto.randomUUID();
  sessionStorage.setItem("maskferry-client", made);
  return made;
}

/** What the server refused, in its words. */
export class ApiError extends Error {
  /**
   * @param {number} status 0 where the server does not answer
   * @param {{kind: string, message: string, hint?: string | null, revision?: number, objects?: number[]}} problem
   */
  constructor(status, problem) {
    super(problem.message);
    this.status = status;
    this.kind = problem.kind;
    this.hint = problem.hint ?? null;
    this.problem = problem;
  }
}

/**
 * @param {string} path
 * @param {RequestInit & {revision?: number}} [options]
 * @returns {Promise<Response>}
 */
export async function ask(path, { revision, ...options } = {}) {
  const headers = new Headers(options.headers);
  headers.set("Authorization", `Bearer ${sessionStorage.getItem(TOKEN) ?? ""}`);
  if (options.body) headers.set("Content-Type", "application/json");
  if (revision !== undefined) headers.set("If-Match", String(revision));
  let response;
  try {
    response = await fetch(BASE + path, { ...options, headers });
  } catch (err) {
    if (options.signal?.aborted) throw err;
    connection.value = "lost";
    throw new ApiError(0, { kind: "NoAnswer", message: "The server does not answer.", hint: "Is it still running?" });
  }
  if (response.status === 401) connection.value = "refused";
  else connection.value = "live";
  if (!response.ok) throw new ApiError(response.status, await problemOf(response));
  return response;
}

/** @param {Response} response */
async function problemOf(response) {
  try {
    return await response.json();
  } catch {
    return { kind: "UnexpectedError", message: `The server answered ${response.status}.` };
  }
}

/**
 * @param {string} path
 * @param {AbortSignal} [abort]
 * @returns {Promise<any>}
 */
export async function get(path, abort) {
  return (await ask(path, { signal: abort })).json();
}

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {number} [revision]
 * @returns {Promise<any>}
 */
export async function send(method, path, body, revision) {
  const options = { method, revision, body: body === undefined ? undefined : JSON.stringify(body) };
  return (await ask(path, options)).json();
}
