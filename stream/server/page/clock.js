// Session clock: session time on the browser's clock, estimated from pings.

const KEPT_PONGS = 10;

export class SessionClock {
  #pongs = [];

  /** Adds a pong: sent and received on performance.now() (ms), the server's session time in between (s). */
  answered(sentMs, receivedMs, sessionSeconds) {
    const middle = (sentMs + receivedMs) / 2;
    this.#pongs.push({ roundTripMs: receivedMs - sentMs, offsetSeconds: sessionSeconds - middle / 1000 });
    if (this.#pongs.length > KEPT_PONGS) this.#pongs.shift();
  }

  get isRunning() {
    return this.#pongs.length > 0;
  }

  /** Session seconds at a time of performance.now(), by the pong with the shortest round trip. */
  at(nowMs) {
    const best = this.#pongs.reduce((a, b) => (b.roundTripMs < a.roundTripMs ? b : a));
    return nowMs / 1000 + best.offsetSeconds;
  }
}
