// Recent events: where faces were and who spoke at a given media time.

const KEPT_TICKS = 50;
const KEPT_CHANGES = 10;
const STALE_SECONDS = 0.4;

export const SILENCE = { state: "silence", id: null };

export class Moments {
  #ticks = [];
  #changes = [];

  addScores(event) {
    this.#ticks.push(event);
    if (this.#ticks.length > KEPT_TICKS) this.#ticks.shift();
  }

  addSpeaker(event) {
    this.#changes.push(event);
    if (this.#changes.length > KEPT_CHANGES) this.#changes.shift();
  }

  /** The faces at `time`, boxes interpolated between the ticks around it; none where no tick is near. */
  facesAt(time) {
    const after = this.#ticks.findIndex((tick) => tick.time > time);
    const next = after < 0 ? undefined : this.#ticks[after];
    const last = after < 0 ? this.#ticks.at(-1) : this.#ticks[after - 1];
    if (!last) return next && next.time - time < STALE_SECONDS ? next.faces : [];
    if (time - last.time > STALE_SECONDS) return [];
    if (!next || next.time - last.time > STALE_SECONDS) return last.faces;
    const share = (time - last.time) / (next.time - last.time);
    return last.faces.map((face) => {
      const later = next.faces.find((other) => other.id === face.id);
      return later ? { ...face, box: face.box.map((value, k) => value + share * (later.box[k] - value)) } : face;
    });
  }

  /** The faces of the last tick. */
  newestFaces() {
    return this.#ticks.at(-1)?.faces ?? [];
  }

  /** Who spoke at `time`: the latest change up to then. */
  speakerAt(time) {
    return this.#changes.findLast((change) => change.time <= time) ?? SILENCE;
  }
}
