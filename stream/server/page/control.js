// Control state: what the commands of any client of the room have set, from `control` events.

export class Control {
  /** Ids of people who are never primary. */
  excluded = new Set();
  /** How many places are ignored. */
  ignoredPlaces = 0;
  /** Probability from which a face is marked; 0: as scored. */
  sensitivity = 0;
  /** Milliseconds by which the audio is late; null: estimated. */
  lagMs = null;
  /** Session seconds; Infinity: until released; null: no hold. */
  #holdUntil = null;

  /** Takes a command that was carried out at `time` (session seconds). */
  take(command, time) {
    switch (command.type) {
      case "exclude":
        this.excluded[command.on ? "add" : "delete"](command.id);
        break;
      case "ignore":
        this.ignoredPlaces = command.region ? this.ignoredPlaces + 1 : 0;
        break;
      case "hold":
        this.#holdUntil = time + (command.seconds ?? Infinity);
        break;
      case "release":
        this.#holdUntil = null;
        break;
      case "sensitivity":
        this.sensitivity = command.score;
        break;
      case "lag":
        this.lagMs = command.milliseconds;
        break;
      case "reset":
        this.excluded.clear();
        break;
    }
  }

  /** Whether the primary speaker is frozen at `time`. */
  isHeld(time) {
    return this.#holdUntil !== null && time < this.#holdUntil;
  }
}
