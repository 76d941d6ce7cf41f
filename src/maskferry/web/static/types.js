// The values of the API, as docs/web_api.md describes them.

/**
 * @typedef {object} TrackedObject
 * @property {number} id
 * @property {string | null} label
 * @property {[number, number, number]} color
 * @property {[number, number, number]} safe_color
 * @property {number | null} score
 * @property {number[]} seeds
 * @property {number[]} pins
 * @property {[number, number][]} absent
 */
/**
 * @typedef {object} Job
 * @property {"idle" | "starting" | "running" | "stopping" | "stopped" | "failed" | "died"} state
 * @property {number} done
 * @property {number | null} total
 * @property {number | null} frame
 * @property {number[]} objects
 * @property {number | null} seconds_per_step
 * @property {{kind: string, message: string, hint: string | null} | null} problem
 */
/** @typedef {{object: number, start: number, stop: number, backward: boolean}} Span */
/** @typedef {{object: number, frame: number, revision: number, client: string, saved: number}} DraftNote */
/** @typedef {{name: string, summary: string, is_folder: boolean, needs_pictures: boolean}} Format */
/**
 * @typedef {object} Video
 * @property {string} name
 * @property {number} width
 * @property {number} height
 * @property {number | null} rate
 * @property {number} frame_count
 * @property {boolean} available
 * @property {string | null} problem
 * @property {number | null} stopped_at
 */
/**
 * @typedef {object} Run
 * @property {string} version
 * @property {number} revision
 * @property {boolean} read_only
 * @property {Video} video
 * @property {{name: string, frames: number, finished: boolean}} tracks
 * @property {TrackedObject[]} objects
 * @property {number} next_id
 * @property {{name: string, ready: boolean, reason: string, loaded: boolean, accepts: string[]}} engine
 * @property {Job} job
 * @property {{steps: number, done: number, spans: Span[]}} pending
 * @property {{undo: string[], redo: string | null}} history
 * @property {DraftNote[]} drafts
 * @property {Format[]} formats
 * @property {{state: string, revision: number, rows: number, open: number}} queue
 * @property {{mask_bytes: number, import_bytes: number, frames: number, masks: number}} limits
 */
/** @typedef {{id: number, state: number, score: number | null, fidelity: number | null, counts: string}} MaskRow */
/** @typedef {{frame: number, time: number | null, name: string, masks: MaskRow[]}} MaskFrame */
/**
 * @typedef {object} Lane
 * @property {number} id
 * @property {[number, number, number][]} runs
 * @property {number[]} seeds
 * @property {number[]} pins
 * @property {[number, number][]} absent
 * @property {[number, number][]} pending
 */
/**
 * @typedef {object} QueueRow
 * @property {string} key
 * @property {number} object
 * @property {number} start
 * @property {number} stop
 * @property {number} frame
 * @property {string} kind
 * @property {string} text
 * @property {"fine" | "fix" | "later" | null} verdict
 * @property {boolean} holds
 * @property {boolean} still
 */
/** @typedef {{state: string, progress: number | null, problem: any, rows: QueueRow[]}} Queue */
/**
 * @typedef {object} Preview
 * @property {number} revision
 * @property {number} steps
 * @property {number} done
 * @property {number | null} seconds
 * @property {Span[]} spans
 * @property {{object: number, frame: number, before: number | null, after: number | null}[]} neighbours
 */
/** @typedef {Record<string, [number, number][]>} Changes */

export {};
