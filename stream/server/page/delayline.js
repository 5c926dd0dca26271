// Delay line: the last frames of a video in a ring of canvases, to be shown later.

import { MOST_SECONDS } from "./lateness.js";

const LEAST_GAP_MS = 28;
const SLOTS = Math.ceil((MOST_SECONDS * 1000) / LEAST_GAP_MS) + 2;

export class DelayLine {
  #slots = [];
  #next = 0;
  #newestMs = -Infinity;

  /** Copies the video's current frame, captured at `capturedMs` on performance.now(). */
  keep(video, capturedMs) {
    if (!video.videoWidth || capturedMs - this.#newestMs < LEAST_GAP_MS) return;
    const slot = (this.#slots[this.#next] ??= newSlot());
    const { canvas, context } = slot;
    if (canvas.width !== video.videoWidth || canvas.height !== video.videoHeight) {
      canvas.width = video.videoWidth;
      canvas.height = video.videoHeight;
    }
    context.drawImage(video, 0, 0);
    slot.capturedMs = this.#newestMs = capturedMs;
    this.#next = (this.#next + 1) % SLOTS;
  }

  /** The newest frame captured by `timeMs`, or else the oldest; null before the first. */
  at(timeMs) {
    let best = null;
    let oldest = null;
    for (const slot of this.#slots) {
      if (!oldest || slot.capturedMs < oldest.capturedMs) oldest = slot;
      if (slot.capturedMs <= timeMs && (!best || slot.capturedMs > best.capturedMs)) best = slot;
    }
    return best ?? oldest;
  }

  clear() {
    this.#slots = [];
    this.#next = 0;
    this.#newestMs = -Infinity;
  }
}

function newSlot() {
  const canvas = document.createElement("canvas");
  return { canvas, context: canvas.getContext("2d", { alpha: false }), capturedMs: -Infinity };
}

/** Calls `onFrame(capturedMs)` for every new frame of `video` until `signal` aborts. */
export function watch(video, onFrame, signal) {
  if ("requestVideoFrameCallback" in video) {
    const step = (now, metadata) => {
      if (signal.aborted) return;
      onFrame(metadata.captureTime ?? now);
      video.requestVideoFrameCallback(step);
    };
    video.requestVideoFrameCallback(step);
    return;
  }
  let shown = -1;
  const poll = (now) => {
    if (signal.aborted) return;
    if (video.currentTime !== shown) {
      shown = video.currentTime;
      onFrame(now);
    }
    requestAnimationFrame(poll);
  };
  requestAnimationFrame(poll);
}
