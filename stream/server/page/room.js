// Room state: the newest event of every kind, and what is derived from them.

import { Control } from "./control.js";
import { Lateness } from "./lateness.js";
import { Moments, SILENCE } from "./moments.js";
import { t } from "./strings.js";
import { OFFSCREEN, Turns } from "./turns.js";

export class Room {
  names = new Map();
  /** Names of people whom the server recognized: enrolled ones. */
  recognized = new Map();
  pinned = null;
  control = new Control();
  speaker = SILENCE;
  /** Whether the server has scored anything yet. */
  hasBegun = false;
  /** Ids of all who speak now. */
  speaking = [];
  /** Ids of all who are in view. */
  inView = [];
  /** Ids that turned out to be another's. */
  merged = new Set();
  speech = 0;
  lag = null;
  load = null;
  /** Size in pixels of the frame that boxes refer to. */
  picture = { width: 1280, height: 720 };
  moments = new Moments();
  turns = new Turns();
  lateness = new Lateness();
  /** Session seconds of the newest tick while it is not in `turns` yet. */
  #uncounted = null;

  /** Takes an event; `now`: session seconds, null while they are unknown. */
  take(event, now) {
    switch (event.type) {
      case "scores":
        this.#takeScores(event, now);
        break;
      case "speaker":
        this.speaker = { state: event.state, id: event.id };
        this.moments.addSpeaker(event);
        break;
      case "names":
        this.names = new Map(Object.entries(event.names).map(([id, name]) => [Number(id), name]));
        break;
      case "pinned":
        this.pinned = event.id;
        break;
      case "control":
        this.control.take(event.command, event.time);
        if (event.command.type === "reset") this.recognized.clear();
        break;
      case "person":
        if (event.name) this.recognized.set(event.id, event.name);
        else this.recognized.delete(event.id);
        break;
      case "merge":
        this.merged.add(event.id);
        this.turns.merge(event.id, event.into);
        if (this.speaker.id === event.id) this.speaker = { ...this.speaker, id: event.into };
        break;
      case "lag":
        this.lag = event;
        break;
      case "load":
        this.load = event;
        break;
      case "picture":
        this.picture = { width: event.width, height: event.height };
        break;
    }
  }

  /** The connection is lost: the current state is unknown. */
  pause() {
    this.#countTick();
    this.hasBegun = false;
    this.speaker = SILENCE;
    this.speaking = [];
    this.inView = [];
  }

  nameOf(id) {
    // A voice without a person yet has a negative id.
    return this.ownNameOf(id) ?? (id < 0 ? t("Voice {0}", -id) : t("Person {0}", id));
  }

  /** The name that a person was given, or null. */
  ownNameOf(id) {
    return this.names.get(id) ?? this.recognized.get(id) ?? null;
  }

  /** The name, and what the commands have set for this person. */
  labelOf(id) {
    const pinned = id === this.pinned ? ` · ${t("pinned")}` : "";
    const excluded = this.control.excluded.has(id) ? ` · ${t("never shown")}` : "";
    return this.nameOf(id) + pinned + excluded;
  }

  /** Whether the primary speaker is frozen now. */
  get isHeld() {
    return this.control.isHeld(this.turns.newest ?? 0);
  }

  #takeScores(event, now) {
    this.#countTick();
    this.#uncounted = event.time;
    this.hasBegun = true;
    this.inView = event.faces.map((face) => face.id);
    this.speaking = event.faces.filter((face) => face.speaking).map((face) => face.id);
    this.speech = event.speech ?? 0;
    this.moments.addScores(event);
    if (now !== null) this.lateness.observe(event.time, now);
  }

  /** Counts the newest tick once all of its events have come: `speaker` follows `scores`. */
  #countTick() {
    if (this.#uncounted === null) return;
    const { state, id } = this.speaker;
    const ids = [...this.speaking, ...(state === "offscreen" ? [id] : [])];
    this.turns.tick(this.#uncounted, ids, state !== "silence" && ids.every((each) => each === OFFSCREEN));
    this.#uncounted = null;
  }
}
