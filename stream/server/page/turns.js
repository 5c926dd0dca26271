// Speaking turns since the session began, by the rules of core/segments.py and core/talk.py, and each person's talk time.
// A voice without a person has no turns here: events do not name it. Memory is bounded.

/** As in core/segments.py. */
const LONGEST_HOLD_SECONDS = 0.5;
const LONGEST_UNDECIDED_SECONDS = 2.02;

/** As in core/talk.py. */
const LEAST_OVERLAP_SECONDS = 0.3;
const RECENT_TURNS = 64;

const KEPT_TURNS = 20_000;
const KEPT_PEOPLE = 200;

/** Stands for an unknown speaker out of view. */
export const OFFSCREEN = null;

export class Turns {
  /** {id, start, end} in session seconds, in the order in which their speakers became known. */
  all = [];
  /** Session seconds of the first and the newest tick; null before. */
  first = null;
  newest = null;
  #seconds = new Map();
  /** The latest turn of each id. */
  #latest = new Map();
  /** Ids whose latest turn goes on. */
  #speaking = new Set();
  /** Since when there has been speech without a known speaker; null: there is none. */
  #undecidedSince = null;

  /** One tick: those of `ids` spoke at `time`; `isUndecided`: there was speech, and its speaker is not known. */
  tick(time, ids, isUndecided) {
    const last = this.newest ?? time;
    const isStalled = time > last + LONGEST_HOLD_SECONDS;
    this.first ??= time;
    this.newest = time;
    for (const id of this.#speaking) {
      this.#extend(this.#latest.get(id), Math.min(time, last + LONGEST_HOLD_SECONDS));
      if (isStalled || !ids.includes(id)) this.#speaking.delete(id);
    }
    const undecided = isStalled ? time : this.#undecidedSince ?? time;
    const began = Math.max(undecided, time - LONGEST_UNDECIDED_SECONDS);
    for (const id of ids) if (!this.#speaking.has(id)) this.#begin(id, id === OFFSCREEN ? time : began, time);
    this.#undecidedSince = isUndecided ? began : null;
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

  /** Two ids are one person, whose turns that touch or overlap are one. */
  merge(id, into) {
    const own = this.all.filter((turn) => turn.id === id || turn.id === into).toSorted((a, b) => a.start - b.start);
    const joined = new Set();
    let last = null;
    for (const turn of own) {
      turn.id = into;
      if (last && turn.start <= last.end) {
        this.#count(into, turn.start - Math.min(last.end, turn.end));
        last.end = Math.max(last.end, turn.end);
        joined.add(turn);
      } else {
        last = turn;
      }
    }
    this.all = this.all.filter((turn) => !joined.has(turn));
    this.#count(into, this.secondsOf(id));
    this.#seconds.delete(id);
    this.#latest.delete(id);
    if (last) this.#latest.set(into, last);
    if (this.#speaking.delete(id)) this.#speaking.add(into);
  }

  #count(id, seconds) {
    const before = this.secondsOf(id);
    this.#seconds.delete(id);
    this.#seconds.set(id, before + seconds);
    if (this.#seconds.size > KEPT_PEOPLE) this.#seconds.delete(this.#seconds.keys().next().value);
  }

  #begin(id, start, time) {
    this.#speaking.add(id);
    let turn = this.#latest.get(id);
    if (!turn || turn.end < start) {
      turn = { id, start, end: start };
      this.all.push(turn);
      this.#latest.set(id, turn);
      if (this.all.length > KEPT_TURNS) this.all.splice(0, KEPT_TURNS / 10);
    }
    this.#extend(turn, time);
  }

  #extend(turn, end) {
    if (turn.id !== OFFSCREEN) this.#count(turn.id, end - turn.end);
    turn.end = end;
  }
}

/** Whether `turn` took the floor from `other`, which ended no later. */
function interrupts(turn, other) {
  const overlap = other.end - turn.start;
  return other.id !== turn.id && other.start < turn.start && turn.end > other.end && overlap >= LEAST_OVERLAP_SECONDS;
}
