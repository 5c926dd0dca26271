// Turns: who spoke when in the last minute, and speaking time in all. Memory is bounded.

export const WINDOW_SECONDS = 60;

const JOINED_SECONDS = 0.25;
const MOST_SECONDS_A_TICK = 0.5;
const KEPT_TURNS = 1000;
const KEPT_PEOPLE = 200;

/** Stands for a speaker who is not in view. */
export const OFFSCREEN = null;

export class Turns {
  /** {id, start, end} in session seconds, in the order of their start. */
  recent = [];
  #seconds = new Map();
  #lastTime = null;

  /** One tick: those of `ids` spoke at `time`. */
  tick(time, ids) {
    const passed = this.#lastTime === null ? 0 : Math.min(Math.max(time - this.#lastTime, 0), MOST_SECONDS_A_TICK);
    this.#lastTime = time;
    for (const id of ids) {
      if (id !== OFFSCREEN) this.#count(id, passed);
      this.#extend(id, time, passed);
    }
    this.recent = this.recent.filter((turn) => turn.end > time - WINDOW_SECONDS).slice(-KEPT_TURNS);
  }

  /** Seconds that a person has spoken since the session began. */
  secondsOf(id) {
    return this.#seconds.get(id) ?? 0;
  }

  #count(id, passed) {
    const before = this.secondsOf(id);
    this.#seconds.delete(id);
    this.#seconds.set(id, before + passed);
    if (this.#seconds.size > KEPT_PEOPLE) this.#seconds.delete(this.#seconds.keys().next().value);
  }

  #extend(id, time, passed) {
    const last = this.recent.findLast((turn) => turn.id === id);
    if (last && time - last.end <= Math.max(JOINED_SECONDS, passed)) last.end = time;
    else this.recent.push({ id, start: time - passed, end: time });
  }
}
