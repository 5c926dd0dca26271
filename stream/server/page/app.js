// Main page: starts a session with a camera or a meeting, and shows the server's events.

import { hasToken, linkTo, setToken } from "./access.js";
import { CaptureProblem, followLoad, openCamera, openMeeting, release } from "./capture.js";
import { SessionClock } from "./clock.js";
import { Connection } from "./connection.js";
import { DelayLine, watch } from "./delayline.js";
import { drawMarks, fit } from "./drawing.js";
import { MOST_SECONDS } from "./lateness.js";
import { colour, inkOn } from "./palette.js";
import { PeopleList, setText } from "./people.js";
import { Room } from "./room.js";
import { describeTimeline, drawTimeline } from "./timeline.js";
import { lagText, latenessText, loadText, whoSpeaks } from "./wording.js";

const PANEL_MS = 100;
const ANNOUNCE_MS = 1500;
const COPIED_MS = 1500;

/** From this load level on animations stop: the machine is busy, and it is often this one. */
const CALM_FROM_LEVEL = 3;

const element = (id) => document.getElementById(id);
const delayLine = new DelayLine();
const people = new PeopleList(
  element("people"),
  element("person"),
  (id, name) => session?.connection.send({ type: "name", id, name }),
  (id) => session?.connection.send({ type: "pin", id }),
);

/** The current session: {stream, connection, room, clock, over, shownMs}; null on the welcome page. */
let session = null;

function begin(stream) {
  const over = new AbortController();
  session = { stream, over, room: new Room(), clock: new SessionClock(), shownMs: null, connection: null };
  for (const track of stream.getTracks()) {
    track.addEventListener("ended", () => end(endedLine(track)), { signal: over.signal });
  }
  showSession();
  const video = element("video");
  video.srcObject = stream;
  video.play().catch(() => {});
  watch(video, (capturedMs) => onFrame(video, capturedMs), over.signal);
  session.connection = new Connection(stream, listener);
  const panel = setInterval(showPanel, PANEL_MS);
  const announcer = setInterval(announce, ANNOUNCE_MS);
  over.signal.addEventListener("abort", () => (clearInterval(panel), clearInterval(announcer)));
}

/** Ends the session; `line` says why when the user did not ask for it. */
function end(line = "") {
  if (!session) return;
  const { over, connection, stream } = session;
  session = null;
  over.abort();
  connection.stop();
  release(stream);
  element("video").srcObject = null;
  delayLine.clear();
  people.clear();
  showWelcome(line);
}

const listener = {
  opening() {
    showConnection("opening", "Connecting");
  },
  opened(room, readToken) {
    session.room = new Room();
    session.clock = new SessionClock();
    people.clear();
    follow(0);
    showConnection("live", "Live");
    element("overlay-link").value = linkTo("/overlay", { room }, "http", readToken);
    element("events-link").value = linkTo("/events", { room }, "ws", readToken);
  },
  event(event) {
    const now = performance.now();
    if (event.type === "pong") {
      session.clock.answered(event.sent, now, event.time);
    } else if (event.type === "error") {
      showNotice(event.message);
    } else {
      if (event.type === "load") follow(event.level);
      session.room.take(event, session.clock.isRunning ? session.clock.at(now) : null);
    }
  },
  waiting(line, seconds) {
    session.room.pause();
    const again = seconds < 1 ? "trying again" : `trying again in ${Math.ceil(seconds)} s`;
    showConnection("waiting", "Not connected");
    showNotice(`${line}: ${again}.`, true);
  },
  refused(line, needsToken) {
    if (needsToken) askForToken(hasToken() ? "That token is not the right one." : line);
    else end(line);
  },
};

function endedLine(track) {
  return track.kind === "video" ? "Video ended: the camera was unplugged or sharing was stopped." : "Audio ended: the microphone was unplugged or sharing was stopped.";
}

function follow(level) {
  followLoad(session.stream, level);
  document.body.classList.toggle("calm", level >= CALM_FROM_LEVEL);
}

// The frame and its marks, at the camera's rate

function onFrame(video, capturedMs) {
  delayLine.keep(video, capturedMs);
  const ageMs = 1000 * Math.min(session.room.lateness.seconds, MOST_SECONDS);
  const shown = delayLine.at(performance.now() - ageMs);
  if (shown && shown.capturedMs !== session.shownMs) {
    session.shownMs = shown.capturedMs;
    drawFrame(shown.canvas);
    drawMarksOf(shown.capturedMs);
  }
}

function drawFrame(source) {
  const picture = element("picture");
  if (picture.width !== source.width || picture.height !== source.height) {
    picture.width = source.width;
    picture.height = source.height;
    element("stage").style.aspectRatio = `${source.width} / ${source.height}`;
  }
  picture.getContext("2d", { alpha: false }).drawImage(source, 0, 0);
}

/** Draws the marks of the frame captured at `capturedMs`. */
function drawMarksOf(capturedMs) {
  const { room, clock } = session;
  const marks = element("marks");
  if (!fit(marks)) return;
  const time = clock.isRunning ? clock.at(capturedMs) : -Infinity;
  const faces = room.moments.facesAt(time);
  const primary = faces.some((face) => face.id === room.pinned) ? room.pinned : room.moments.speakerAt(time).id;
  drawMarks(marks, room.picture, faces, { primary, pinned: room.pinned, nameOf: (id) => room.nameOf(id) });
}

// Text

function showPanel() {
  const { room, clock } = session;
  const [nowMs, nameOf] = [performance.now(), (id) => room.nameOf(id)];
  people.show(room, nowMs);
  const now = clock.isRunning ? clock.at(nowMs) - room.lateness.seconds : 0;
  drawTimeline(element("timeline"), room.turns.recent, people.ids, now, nameOf);
  const { name, more } = whoSpeaks(room);
  const speaker = element("speaker");
  const { id, state } = room.speaker;
  speaker.classList.toggle("speaking", state !== "silence");
  speaker.style.setProperty("--person", id === null ? "var(--quiet)" : colour(id));
  speaker.style.setProperty("--on-person", id === null ? "var(--card)" : inkOn(id));
  setText(element("speaker-name"), name);
  setText(element("speaker-more"), more);
  element("nobody").hidden = people.ids.length > 0;
  setText(element("lag"), lagText(room.lag));
  setText(element("load"), loadText(room.load));
  setText(element("lateness"), latenessText(room.lateness.seconds));
}

/** For screen readers: the current state now and then, not every change. */
function announce() {
  const { room } = session;
  setText(element("announcement"), whoSpeaks(room).name);
  element("timeline").setAttribute("aria-label", describeTimeline(room.turns.recent, people.ids, (id) => room.nameOf(id)));
}

function showConnection(state, text) {
  element("connection").dataset.state = state;
  setText(element("connection-text"), text);
  if (state === "live") element("notice").hidden = true;
}

function showNotice(line, canRetry = false) {
  setText(element("notice-text"), line);
  element("retry").hidden = !canRetry;
  element("notice").hidden = false;
}

function showSession() {
  element("problem").hidden = true;
  element("welcome").hidden = true;
  element("session").hidden = element("stop").hidden = element("connection").hidden = false;
  element("session-title").focus();
}

function showWelcome(line) {
  element("session").hidden = element("stop").hidden = element("connection").hidden = element("notice").hidden = true;
  element("welcome").hidden = false;
  showProblem(line);
  element("welcome-title").focus();
}

function showProblem(line) {
  setText(element("problem"), line);
  element("problem").hidden = !line;
}

function askForToken(line) {
  end(line);
  element("access").hidden = false;
  element("token").focus();
}

// User actions

async function start(open) {
  showProblem("");
  element("choices").inert = true;
  try {
    begin(await open());
  } catch (error) {
    if (!(error instanceof CaptureProblem)) throw error;
    showProblem(error.message);
  } finally {
    element("choices").inert = false;
  }
}

element("camera").addEventListener("click", () => start(openCamera));
element("meeting").addEventListener("click", () => start(openMeeting));
element("stop").addEventListener("click", () => end());
element("retry").addEventListener("click", () => session?.connection.retry());
element("access").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken(element("token").value.trim());
  element("access").hidden = true;
  showProblem("");
  element("camera").focus();
});
for (const button of document.querySelectorAll("button[data-copies]")) {
  button.addEventListener("click", async () => {
    const field = element(button.dataset.copies);
    field.select();
    await navigator.clipboard.writeText(field.value);
    setText(button, "Copied");
    setTimeout(() => setText(button, "Copy"), COPIED_MS);
  });
}
window.addEventListener("pagehide", () => end());
