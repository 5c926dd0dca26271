// The session's time on the browser's clock, from pings that the server answers.

const KEPT_PONGS = 10;

export class SessionClock {
  #pongs = [];

  /** One answered ping: sent and received on performance.now() (ms), the server's session time in between (s). */
  answered(sentMs, receivedMs, sessionSeconds) {
    const middle = (sentMs + receivedMs) / 2;
    this.#pongs.push({ roundTripMs: receivedMs - sentMs, offsetSeconds: sessionSeconds - middle / 1000 });
    if (this.#pongs.length > KEPT_PONGS) this.#pongs.shift();
  }

  get isRunning() {
    return this.#pongs.length > 0;
  }

  /** Session seconds at a moment of performance.now(). The quickest answer knows best. */
  at(nowMs) {
    const best = this.#pongs.reduce((a, b) => (b.roundTripMs < a.roundTripMs ? b : a));
    return nowMs / 1000 + best.offsetSeconds;
  }
}
