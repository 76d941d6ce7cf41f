// What the page uses of Preact, its signals and htm; build_vendor.mjs makes one file of it.
export { h, render, Fragment } from "preact";
export { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
export { batch, computed, effect, signal, untracked, useComputed, useSignal } from "@preact/signals";
import htm from "htm";
import { h as element } from "preact";
export const html = htm.bind(element);
