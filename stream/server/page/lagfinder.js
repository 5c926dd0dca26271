// Lag finder: a tone asks for speech, and the lag that the server finds in it is set.

import { t } from "./strings.js";
import { lagText } from "./wording.js";

/**
 * Probability that the server must give to the lag, and the seconds that it gets. On recorded people the right lag has
 * more than 0.7 after 6 to 20 s; without speech it is 0.6, and 0.5 where sound and picture are too far apart.
 */
const SURE = 0.7;
const [LEAST_SECONDS, MOST_SECONDS] = [6, 25];

/** Session seconds after the command in which a tick may still have the lag of before. */
const STALE_SECONDS = 0.5;

const CHECK_MS = 250;
const [TONE_SECONDS, TONE_GAIN] = [0.2, 0.2];
const [HIGH_HERTZ, LOW_HERTZ] = [880, 440];

export class LagFinder {
  #show;
  #send;
  #timer = null;
  #beganMs = 0;
  #since = null;
  #found = null;
  #context = null;

  /** `show(line)` is called with what to do and what was found; `send(command)` gives a command to the room. */
  constructor(show, send) {
    this.#show = show;
    this.#send = send;
  }

  get isRunning() {
    return this.#timer !== null;
  }

  /** Has the lag estimated anew from what is said now. */
  start() {
    this.#context ??= new AudioContext();
    [this.#since, this.#found, this.#beganMs] = [null, null, performance.now()];
    this.#timer = setInterval(() => this.#check(), CHECK_MS);
    this.#send({ type: "lag", milliseconds: null });
    this.#play(HIGH_HERTZ);
    this.#show(t("Look into the camera and count aloud to twenty. A tone says when it is done."));
  }

  /** Takes an event of the room. */
  take(event) {
    if (!this.isRunning) return;
    if (event.type === "control" && event.command.type === "lag") {
      if (event.command.milliseconds === null) this.#since ??= event.time;
      else this.stop();
    }
    if (event.type === "lag" && this.#since !== null && event.time > this.#since + STALE_SECONDS) this.#found = event;
  }

  /** Ends it without a result; the lag stays as it is. */
  stop() {
    clearInterval(this.#timer);
    this.#timer = null;
    this.#show("");
  }

  #check() {
    const seconds = (performance.now() - this.#beganMs) / 1000;
    const [lag, confidence] = [this.#found, this.#found?.confidence ?? 0];
    if (seconds > LEAST_SECONDS && confidence >= SURE) {
      this.stop();
      this.#send({ type: "lag", milliseconds: Math.round(lag.milliseconds) });
      this.#play(HIGH_HERTZ, HIGH_HERTZ);
      this.#show(t("Found and set: {0}, {1} % sure.", lagText(lag), Math.floor(100 * confidence)));
    } else if (seconds > MOST_SECONDS) {
      this.stop();
      this.#play(LOW_HERTZ);
      this.#show(t("Nothing was found: nobody in view spoke clearly, or sound and picture are more than 600 ms apart."));
    }
  }

  #play(...tones) {
    tones.forEach((frequency, number) => {
      const tone = new OscillatorNode(this.#context, { frequency });
      tone.connect(new GainNode(this.#context, { gain: TONE_GAIN })).connect(this.#context.destination);
      const from = this.#context.currentTime + 1.5 * TONE_SECONDS * number;
      tone.start(from);
      tone.stop(from + TONE_SECONDS);
    });
  }
}
