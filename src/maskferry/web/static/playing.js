// Playing: every frame in its order, at the video's rate where the frames come fast enough; none is skipped.
import { frame, frameCount, frameProblem, isPlaying, shownFrame, video } from "./state.js";
import { effect } from "./vendor/preact.js";

const USUAL_RATE = 25; // frames a second, for films without a clock

export function keepPlaying() {
  let due = 0;
  /** @param {number} now */
  const tick = (now) => {
    if (!isPlaying.value) return;
    requestAnimationFrame(tick);
    const isThere = shownFrame.value === frame.value || frameProblem.value;
    if (now < due || !isThere) return;
    if (frame.value + 1 >= frameCount.value) {
      isPlaying.value = false;
      return;
    }
    const pause = 1000 / (video.value?.rate || USUAL_RATE);
    due = Math.max(due + pause, now);
    frame.value += 1;
  };
  effect(() => {
    if (!isPlaying.value) return;
    if (frame.peek() + 1 >= frameCount.peek()) frame.value = 0;
    due = performance.now();
    requestAnimationFrame(tick);
  });
}
