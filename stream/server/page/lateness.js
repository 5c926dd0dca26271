// Display delay: how late a frame is shown, so that its marks have arrived by then.

const KEPT_EVENTS = 75;
const PUNCTUAL_SHARE = 0.9;
const FOLLOWING = 0.05;
const TICK_SECONDS = 0.04;

export const MOST_SECONDS = 0.6;

export class Lateness {
  #recent = [];
  #seconds = 0;

  /** An event for `mediaTime` arrived at `now`, both in session seconds. */
  observe(mediaTime, now) {
    this.#recent.push(now - mediaTime);
    if (this.#recent.length > KEPT_EVENTS) this.#recent.shift();
    const sorted = this.#recent.toSorted((a, b) => a - b);
    const enough = sorted[Math.floor(PUNCTUAL_SHARE * (sorted.length - 1))] + TICK_SECONDS;
    const goal = Math.min(Math.max(enough, 0), MOST_SECONDS);
    this.#seconds += (this.#recent.length < KEPT_EVENTS / 5 ? 1 : FOLLOWING) * (goal - this.#seconds);
  }

  get seconds() {
    return this.#seconds;
  }
}
