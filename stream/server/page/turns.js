// Turns: who spoke when since the session began, and speaking time in all. Memory is bounded.

const JOINED_SECONDS = 0.25;
const MOST_SECONDS_A_TICK = 0.5;
const KEPT_TURNS = 20_000;
const KEPT_PEOPLE = 200;

/** As in core/talk.py: a shorter overlap is a change of turn, and so many turns before may be interrupted. */
const LEAST_OVERLAP_SECONDS = 0.3;
const RECENT_TURNS = 64;

/** Stands for a speaker who is not in view. */
export const OFFSCREEN = null;

export class Turns {
  /** {id, start, end} in session seconds, in the order in which they began. */
  all = [];
  /** Session seconds of the first and the newest tick; null before. */
  first = null;
  newest = null;
  #seconds = new Map();
  /** The latest turn of each id. */
  #latest = new Map();

  /** One tick: those of `ids` spoke at `time`. */
  tick(time, ids) {
    const passed = this.newest === null ? 0 : Math.min(Math.max(time - this.newest, 0), MOST_SECONDS_A_TICK);
    this.first ??= time;
    this.newest = time;
    for (const id of ids) {
      if (id !== OFFSCREEN) this.#count(id, passed);
      this.#extend(id, time, passed);
    }
  }

  /** Seconds that a person has spoken since the session began. */
  secondsOf(id) {
    return this.#seconds.get(id) ?? 0;
  }

  /** A person's share of all speaking time, 0 to 1. */
  shareOf(id) {
    const total = [...this.#seconds.values()].reduce((sum, seconds) => sum + seconds, 0);
    return total > 0 ? this.secondsOf(id) / total : 0;
  }

  /** Of each person in view, longest talk time first: {id, seconds, share, turns, longest, interruptions}. */
  statistics() {
    const by = new Map();
    const ended = this.all.filter(({ id }) => id !== OFFSCREEN).toSorted((a, b) => a.end - b.end);
    for (const [k, turn] of ended.entries()) {
      const own = by.get(turn.id) ?? { id: turn.id, turns: 0, longest: 0, interruptions: 0 };
      const isInterruption = ended.slice(Math.max(k - RECENT_TURNS, 0), k).some((other) => interrupts(turn, other));
      own.turns += 1;
      own.longest = Math.max(own.longest, turn.end - turn.start);
      own.interruptions += isInterruption ? 1 : 0;
      by.set(turn.id, own);
    }
    return [...by.values()]
      .map((own) => ({ ...own, seconds: this.secondsOf(own.id), share: this.shareOf(own.id) }))
      .toSorted((a, b) => b.seconds - a.seconds);
  }

  /** The turns that overlap [from, to]. */
  between(from, to) {
    return this.all.filter((turn) => turn.end > from && turn.start < to);
  }

  /** Two ids are one person. */
  merge(id, into) {
    for (const turn of this.all) if (turn.id === id) turn.id = into;
    this.#count(into, this.secondsOf(id));
    this.#seconds.delete(id);
    this.#latest.delete(id);
  }

  #count(id, passed) {
    const before = this.secondsOf(id);
    this.#seconds.delete(id);
    this.#seconds.set(id, before + passed);
    if (this.#seconds.size > KEPT_PEOPLE) this.#seconds.delete(this.#seconds.keys().next().value);
  }

  #extend(id, time, passed) {
    const last = this.#latest.get(id);
    if (last && time - last.end <= Math.max(JOINED_SECONDS, passed)) {
      last.end = time;
      return;
    }
    const turn = { id, start: time - passed, end: time };
    this.all.push(turn);
    this.#latest.set(id, turn);
    if (this.all.length > KEPT_TURNS) this.all.splice(0, KEPT_TURNS / 10);
  }
}

/** Whether `turn` took the floor from `other`, which ended no later. */
function interrupts(turn, other) {
  const overlap = other.end - turn.start;
  return other.id !== turn.id && other.start < turn.start && turn.end > other.end && overlap >= LEAST_OVERLAP_SECONDS;
}
