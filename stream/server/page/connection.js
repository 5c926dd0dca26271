// WebRTC connection: sends a stream, receives events on a data channel, reconnects when it is lost.

import { headers } from "./access.js";
import { backoffSeconds } from "./backoff.js";
import { t } from "./strings.js";

const GATHERING_MS = 2000;
const ANSWER_MS = 10_000;
const OPENING_MS = 10_000;
const DISCONNECTED_MS = 4000;
const SILENT_MS = 8000;
const DOUBTED_MS = 700;
const PING_MS = 500;
const FULL_SECONDS = 10;
const STEADY_MS = 10_000;
const MOST_BITS_A_SECOND = 2_500_000;

const UNAUTHORIZED = 401;
const TOO_OFTEN = 429;
const FULL = 503;

/** The server refused the offer. */
class Refusal extends Error {
  constructor(status, line, retrySeconds) {
    super(line);
    this.status = status;
    this.retrySeconds = retrySeconds;
  }
}

/** ICE found no way between browser and server; the text says what there was and what to set. */
class NoWayThrough extends Error {}

/**
 * Holds one room open for `stream` until stop().
 *
 * `listener`: opening(), opened(room, readToken), event(event), waiting(line, seconds) before another try,
 * refused(line, needsToken) when no other try would help.
 */
export class Connection {
  #stream;
  #listener;
  #ended = new AbortController();
  #room = null;
  #channel = null;
  #attempt = 0;
  /** The room before this one, whose names the next room gets. */
  #before = null;
  #isMoved = false;
  #retryNow = () => {};

  constructor(stream, listener) {
    this.#stream = stream;
    this.#listener = listener;
    window.addEventListener("online", () => this.retry(), { signal: this.#ended.signal });
    this.#keepOpen();
  }

  /** Sends a message while the data channel is open. */
  send(message) {
    if (this.#channel?.readyState === "open") this.#channel.send(JSON.stringify(message));
  }

  /** Retries at once. */
  retry() {
    this.#retryNow();
  }

  /** Closes the room. */
  stop() {
    this.#ended.abort();
    this.#retryNow();
    this.#leave();
  }

  async #keepOpen() {
    while (!this.#ended.signal.aborted) {
      this.#listener.opening();
      let line = t("The connection was lost");
      let seconds = null;
      this.#isMoved = false;
      try {
        await this.#openOnce();
      } catch (error) {
        if (this.#ended.signal.aborted) return;
        if (error instanceof Refusal && error.retrySeconds === null) {
          this.#listener.refused(error.message, error.status === UNAUTHORIZED);
          return;
        }
        const isKnown = error instanceof Refusal || error instanceof NoWayThrough;
        line = isKnown ? error.message : t("The server does not answer");
        seconds = error.retrySeconds ?? null;
      }
      if (this.#ended.signal.aborted) return;
      if (this.#isMoved) continue;
      seconds ??= backoffSeconds(this.#attempt++);
      this.#listener.waiting(line, seconds);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, 1000 * seconds);
        this.#retryNow = () => (clearTimeout(timer), resolve());
      });
    }
  }

  /** Returns when an opened room is lost; throws when none could be opened. */
  async #openOnce() {
    const peer = new RTCPeerConnection(await fetchJson("/ice"));
    const channel = peer.createDataChannel("events");
    const over = new AbortController();
    const iceErrors = collectIceErrors(peer);
    try {
      for (const track of this.#stream.getTracks()) offerTrack(peer, track, this.#stream);
      await peer.setLocalDescription();
      await gathered(peer);
      const answer = await postOffer(peer.localDescription, longSide(this.#stream), this.#before);
      this.#room = answer.room;
      if (this.#ended.signal.aborted) return;
      await peer.setRemoteDescription({ type: answer.type, sdp: answer.sdp });
      await opened(channel).catch(async (error) => {
        const { ice } = await this.#leave();
        throw ice ? new NoWayThrough([ice, ...iceErrors].join(". ")) : error;
      });
      if (this.#ended.signal.aborted) return;
      this.#before = answer.room;
      this.#channel = channel;
      const since = performance.now();
      this.#listener.opened(answer.room, answer.read_token);
      await this.#untilLost(peer, channel, over.signal);
      if (performance.now() - since > STEADY_MS) this.#attempt = 0;
    } finally {
      over.abort();
      this.#channel = null;
      channel.close();
      peer.close();
      this.#leave();
    }
  }

  #untilLost(peer, channel, signal) {
    return new Promise((resolve) => {
      let receivedMs = performance.now();
      let disconnectedMs = null;
      channel.addEventListener("message", ({ data }) => {
        receivedMs = performance.now();
        const event = parsed(data);
        if (event?.type === "moved") (this.#isMoved = true), resolve();
        else if (event) this.#listener.event(event);
      }, { signal });
      channel.addEventListener("close", resolve, { signal });
      this.#ended.signal.addEventListener("abort", resolve, { signal });
      const ping = () => {
        const now = performance.now();
        disconnectedMs = peer.connectionState === "disconnected" ? (disconnectedMs ?? now) : null;
        const isLost = peer.connectionState === "failed" || now - receivedMs > SILENT_MS;
        if (isLost || (disconnectedMs !== null && now - disconnectedMs > DISCONNECTED_MS)) resolve();
        else this.send({ type: "ping", sent: now });
        if (now - receivedMs > DOUBTED_MS) isGone(this.#room).then((gone) => gone && resolve());
      };
      ping();
      const timer = setInterval(ping, PING_MS);
      signal.addEventListener("abort", () => clearInterval(timer));
    });
  }

  /** Closes the room. Returns {ice}: why it was never connected, if it was not. */
  async #leave() {
    if (this.#room === null) return {};
    const path = `/rooms/${encodeURIComponent(this.#room)}`;
    this.#room = null;
    try {
      return await (await fetch(path, { method: "DELETE", headers: headers(), keepalive: true })).json();
    } catch {
      return {};
    }
  }
}

function offerTrack(peer, track, stream) {
  const sendEncodings = track.kind === "video" ? [{ maxBitrate: MOST_BITS_A_SECOND }] : [];
  peer.addTransceiver(track, { direction: "sendonly", streams: [stream], sendEncodings });
}

function gathered(peer) {
  return new Promise((resolve) => {
    const check = () => peer.iceGatheringState === "complete" && resolve();
    peer.addEventListener("icegatheringstatechange", check);
    setTimeout(resolve, GATHERING_MS);
    check();
  });
}

/** Longer side of the captured video in pixels. Frames arrive smaller at times; faces must not jump then. */
function longSide(stream) {
  const { width, height } = stream.getVideoTracks()[0].getSettings();
  return Math.max(width ?? 0, height ?? 0) || undefined;
}

async function fetchJson(path) {
  const answer = await fetch(path, { headers: headers(), signal: AbortSignal.timeout(ANSWER_MS) });
  if (answer.ok) return answer.json();
  throw await refusal(answer);
}

/** What the browser reports about STUN and TURN servers, in a list that grows. */
function collectIceErrors(peer) {
  const lines = [];
  peer.addEventListener("icecandidateerror", ({ url, errorCode, errorText }) => {
    const line = `Browser: ${url}: ${errorCode} ${errorText}`;
    if (url && !lines.includes(line)) lines.push(line);
  });
  return lines;
}

/** Whether the server has no such room any more: its host may have died. */
async function isGone(room) {
  if (room === null) return false;
  try {
    const path = `/rooms/${encodeURIComponent(room)}`;
    return (await fetch(path, { headers: headers(), signal: AbortSignal.timeout(ANSWER_MS) })).status === 404;
  } catch {
    return false;
  }
}

async function postOffer({ type, sdp }, long_side, before) {
  const answer = await fetch("/offer", {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers() },
    body: JSON.stringify({ type, sdp, long_side, room: before ?? undefined }),
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  if (answer.ok) return answer.json();
  throw await refusal(answer);
}

async function refusal(answer) {
  const retrySeconds = Number(answer.headers.get("Retry-After")) || FULL_SECONDS;
  if (answer.status === UNAUTHORIZED) return new Refusal(UNAUTHORIZED, t("This server asks for a token."), null);
  if (answer.status === FULL) return new Refusal(FULL, t("The server is full"), retrySeconds);
  if (answer.status === TOO_OFTEN) return new Refusal(TOO_OFTEN, t("Too many tries"), retrySeconds);
  const { error } = await answer.json().catch(() => ({}));
  return new Refusal(answer.status, error ?? t("The server refused ({0}).", answer.status), null);
}

function opened(channel) {
  return new Promise((resolve, reject) => {
    channel.addEventListener("open", resolve);
    channel.addEventListener("close", reject);
    setTimeout(() => reject(new Error("no way through")), OPENING_MS);
  });
}

function parsed(line) {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
