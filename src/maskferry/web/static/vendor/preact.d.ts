export { h, render, Fragment } from "preact";
export { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
export { batch, computed, effect, signal, untracked, useComputed, useSignal } from "@preact/signals";
export declare const html: (strings: TemplateStringsArray, ...values: unknown[]) => import("preact").VNode;
export type { Signal, ReadonlySignal } from "@preact/signals";
