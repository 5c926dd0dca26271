// Main page: starts a session with a camera or a meeting, and shows the server's events.

import { hasToken, linkTo, setToken } from "./access.js";
import { CaptureProblem, checkInputs, followLoad, openCamera, openMeeting, release } from "./capture.js";
import { SessionClock } from "./clock.js";
import { Connection } from "./connection.js";
import { DelayLine, watch } from "./delayline.js";
import { drawMarks, fit } from "./drawing.js";
import { Devices } from "./devices.js";
import { save } from "./exporting.js";
import { FaceButtons, PersonSheet } from "./faces.js";
import { listenForKeys } from "./keys.js";
import { LagFinder } from "./lagfinder.js";
import { MOST_SECONDS } from "./lateness.js";
import { colour, inkOn } from "./palette.js";
import { PeopleList, setText } from "./people.js";
import { prefer, preference } from "./preferences.js";
import { Room } from "./room.js";
import { hasSmallWindow, leaveScreens, toggleFullScreen, toggleSmallWindow } from "./stage.js";
import { localize, t } from "./strings.js";
import { clockTime, describeTimeline, drawTimeline, Extent } from "./timeline.js";
import { lagText, latenessText, loadText, whoSpeaks } from "./wording.js";

const PANEL_MS = 100;
const ANNOUNCE_MS = 1500;
const COPIED_MS = 1500;

/** From this load level on animations stop: the machine is busy, and it is often this one. */
const CALM_FROM_LEVEL = 3;

const SENSITIVITY_STEP = 0.1;

localize(document);
const element = (id) => document.getElementById(id);

// These leave the document while they are in a small window.
const [stage, video, picture, marks, heldBadge, warning] = ["stage", "video", "picture", "marks", "held", "warning"].map(element);
const [notice, noticeText, retry] = ["notice", "notice-text", "retry"].map(element);

const send = (command) => session?.connection.send(command);
const delayLine = new DelayLine();
const people = new PeopleList(element("people"), element("person"), send);
const sheet = new PersonSheet(element("sheet"), send);
const faceButtons = new FaceButtons(element("faces"), (id, button) => sheet.open(id, button, session.room));
const devices = new Devices(element("devices"), showProblem);
const lagFinder = new LagFinder(showFinding, send);
const extent = new Extent();

/** The current session: {stream, connection, room, clock, over, shownMs, isMirrored}; null on the welcome page. */
let session = null;

/** The room of the session that ended last, for export; null before. */
let lastRoom = null;

function begin(stream, isMirrored) {
  const over = new AbortController();
  session = { stream, over, isMirrored, room: new Room(), clock: new SessionClock(), shownMs: null, connection: null };
  picture.classList.toggle("mirrored", isMirrored);
  marks.hidden = false;
  for (const track of stream.getTracks()) {
    track.addEventListener("ended", () => end(endedLine(track)), { signal: over.signal });
  }
  showSession();
  video.srcObject = stream;
  followVideo();
  session.connection = new Connection(stream, listener);
  const panel = setInterval(showPanel, PANEL_MS);
  const announcer = setInterval(announce, ANNOUNCE_MS);
  checkInputs(stream, video, over.signal, showWarning);
  over.signal.addEventListener("abort", () => (clearInterval(panel), clearInterval(announcer)));
}

/** Plays the video and watches its frames; again after it moved to another window, where it stands still. */
function followVideo() {
  session.watching?.abort();
  session.watching = new AbortController();
  video.play().catch(() => {});
  watch(video, onFrame, AbortSignal.any([session.over.signal, session.watching.signal]));
}

function clearPeople() {
  people.clear();
  faceButtons.clear();
  sheet.close();
}

/** Ends the session; `line` says why when the user did not ask for it. */
function end(line = "") {
  if (!session) return;
  const { over, connection, stream, room } = session;
  lastRoom = room.turns.all.length ? room : lastRoom;
  session = null;
  leaveScreens();
  lagFinder.stop();
  over.abort();
  connection.stop();
  release(stream);
  video.srcObject = null;
  delayLine.clear();
  clearPeople();
  extent.showUntil(null);
  showWelcome(line);
}

const listener = {
  opening() {
    showConnection("opening", t("Connecting"));
  },
  opened(room, readToken) {
    session.room = new Room();
    session.clock = new SessionClock();
    clearPeople();
    follow(0);
    showConnection("live", t("Live"));
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
      lagFinder.take(event);
      session.room.take(event, session.clock.isRunning ? session.clock.at(now) : null);
    }
  },
  waiting(line, seconds) {
    lagFinder.stop();
    session.room.pause();
    const again = seconds < 1 ? t("trying again") : t("trying again in {0} s", Math.ceil(seconds));
    showConnection("waiting", t("Not connected"));
    showNotice(`${line}: ${again}.`, true);
  },
  refused(line, needsToken) {
    if (needsToken) askForToken(hasToken() ? t("That token is not the right one.") : line);
    else end(line);
  },
};

function endedLine(track) {
  return track.kind === "video"
    ? t("Video ended: the camera was unplugged or sharing was stopped.")
    : t("Audio ended: the microphone was unplugged or sharing was stopped.");
}

function follow(level) {
  followLoad(session.stream, level);
  document.body.classList.toggle("calm", level >= CALM_FROM_LEVEL);
}

// The frame and its marks, at the camera's rate

function onFrame(capturedMs) {
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
  if (picture.width !== source.width || picture.height !== source.height) {
    picture.width = source.width;
    picture.height = source.height;
    stage.style.setProperty("--ratio", source.width / source.height);
  }
  picture.getContext("2d", { alpha: false }).drawImage(source, 0, 0);
}

/** Draws the marks of the frame captured at `capturedMs`. */
function drawMarksOf(capturedMs) {
  const { room, clock, isMirrored } = session;
  if (!fit(marks)) return;
  const time = clock.isRunning ? clock.at(capturedMs) : -Infinity;
  const faces = room.moments.facesAt(time);
  const primary = faces.some((face) => face.id === room.pinned) ? room.pinned : room.moments.speakerAt(time).id;
  drawMarks(marks, room.picture, faces, {
    primary, isMirrored, excluded: room.control.excluded, labelOf: (id) => room.labelOf(id),
  });
}

// Text

function showPanel() {
  const { room, clock } = session;
  const [nowMs, nameOf] = [performance.now(), (id) => room.nameOf(id)];
  people.show(room, nowMs);
  faceButtons.show(room, room.moments.newestFaces(), session.isMirrored);
  sheet.show(room);
  const now = clock.isRunning ? clock.at(nowMs) - room.lateness.seconds : 0;
  const first = room.turns.first ?? now;
  const shown = extent.of(first, now);
  drawTimeline(element("timeline"), room.turns, people.ids, shown, first, nameOf);
  showExtent(shown, first, now);
  showControl(room);
  showStatistics(room);
  const { name, more } = whoSpeaks(room);
  const speaker = element("speaker");
  const { id, state } = room.speaker;
  speaker.classList.toggle("speaking", state !== "silence");
  const isPerson = id !== null && id > 0;
  speaker.style.setProperty("--person", isPerson ? colour(id) : "var(--quiet)");
  speaker.style.setProperty("--on-person", isPerson ? inkOn(id) : "var(--card)");
  setText(element("speaker-name"), name);
  setText(element("speaker-more"), more);
  element("nobody").hidden = people.ids.length > 0;
  setText(element("lag"), lagText(room.lag));
  setText(element("load"), loadText(room.load));
  setText(element("lateness"), latenessText(room.lateness.seconds));
}

function showExtent({ from, to, isLive }, first, now) {
  setText(element("extent"), extent.name);
  element("zoom-in").disabled = extent.isClosest;
  element("zoom-out").disabled = extent.isWidest;
  const position = element("position");
  position.hidden = now - first <= to - from;
  [position.min, position.max] = [Math.ceil(first + to - from), Math.floor(now)];
  if (isLive) position.value = position.max;
}

function showControl({ control, isHeld }) {
  heldBadge.hidden = !isHeld;
  element("hold").ariaPressed = String(isHeld);
  element("unignore").hidden = control.ignoredPlaces === 0;
  const slider = element("sensitivity");
  if (document.activeElement !== slider) slider.value = control.sensitivity;
  const lag = element("set-lag");
  if (document.activeElement !== lag) lag.value = control.lagMs ?? "";
  const percent = Math.round(100 * slider.value);
  setText(element("sensitivity-text"), percent ? `${percent} %` : t("as scored"));
}

/** Of the whole session, while the table is open. */
function showStatistics(room) {
  const table = element("talk");
  if (!table.open || session.tabulatedAt === Math.floor(room.turns.newest)) return;
  session.tabulatedAt = Math.floor(room.turns.newest);
  const rows = room.turns.statistics().map(({ id, seconds, turns, longest, interruptions }) => {
    const row = document.createElement("tr");
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = room.nameOf(id);
    row.append(name);
    for (const value of [clockTime(seconds), turns, clockTime(longest), interruptions]) row.insertCell().textContent = value;
    return row;
  });
  table.querySelector("tbody").replaceChildren(...rows);
}

/** For screen readers: the current state now and then, not every change. */
function announce() {
  const { room } = session;
  setText(element("announcement"), whoSpeaks(room).name);
  element("timeline").setAttribute("aria-label", describeTimeline(room.turns, people.ids, (id) => room.nameOf(id)));
}

function showConnection(state, text) {
  element("connection").dataset.state = state;
  setText(element("connection-text"), text);
  if (state === "live") notice.hidden = true;
}

function showNotice(line, canRetry = false) {
  setText(noticeText, line);
  retry.hidden = !canRetry;
  notice.hidden = false;
}

/** What the lag finder asks for or found, or "". */
function showFinding(line) {
  setText(element("lag-found"), line);
  setText(element("find-lag"), lagFinder.isRunning ? t("Cancel") : t("Find it"));
}

/** What is wrong with the inputs, or "". */
function showWarning(line) {
  setText(warning, line);
  warning.hidden = !line;
}

function showSession() {
  showWarning("");
  element("problem").hidden = true;
  element("welcome").hidden = true;
  element("session").hidden = element("stop").hidden = element("show-help").hidden = element("connection").hidden = false;
  element("session-title").focus();
}

function showWelcome(line) {
  element("session").hidden = element("stop").hidden = element("show-help").hidden = element("connection").hidden = notice.hidden = true;
  element("welcome").hidden = false;
  element("last").hidden = lastRoom === null;
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

async function start(open, isMirrored = false) {
  showProblem("");
  element("choices").inert = true;
  try {
    begin(await open(), isMirrored);
  } catch (error) {
    if (!(error instanceof CaptureProblem)) throw error;
    showProblem(error.message);
  } finally {
    element("choices").inert = false;
  }
}

element("camera").addEventListener("click", () => start(() => devices.take() ?? openCamera(), preference("mirror", false)));
element("meeting").addEventListener("click", () => {
  devices.close();
  start(openMeeting);
});
element("stop").addEventListener("click", () => end());
retry.addEventListener("click", () => session?.connection.retry());
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
    setText(button, t("Copied"));
    setTimeout(() => setText(button, t("Copy")), COPIED_MS);
  });
}

/** What the keys p and e are about: the picked person or else the speaker. */
const person = () => faceButtons.picked ?? (session.room.speaker.state === "speaking" ? session.room.speaker.id : null);
const toggleHold = () => send(session.room.isHeld ? { type: "release" } : { type: "hold", seconds: null });
const fullScreen = () => toggleFullScreen(stage);
const reset = () => send({ type: "reset" });

function markSurer(step) {
  const score = Math.min(Math.max(session.room.control.sensitivity + step, 0), 1);
  send({ type: "sensitivity", score: Math.round(10 * score) / 10 });
}

const actions = {
  pick: (number) => faceButtons.pick(number),
  pin() {
    if (session.room.pinned !== null) send({ type: "pin", id: null });
    else if (person() !== null) send({ type: "pin", id: person() });
  },
  exclude() {
    if (person() !== null) send({ type: "exclude", id: person(), on: !session.room.control.excluded.has(person()) });
  },
  hold: toggleHold,
  surer: () => markSurer(SENSITIVITY_STEP),
  lessSure: () => markSurer(-SENSITIVITY_STEP),
  reset,
  hide: () => (marks.hidden = !marks.hidden),
  fullScreen,
  help: () => element("help").showModal(),
};
listenForKeys(actions, () => session !== null && !element("help").open && element("keys").checked);
element("keys").checked = preference("keys", true);
element("keys").addEventListener("change", () => prefer("keys", element("keys").checked));
element("show-help").addEventListener("click", actions.help);
element("hold").addEventListener("click", toggleHold);
element("reset").addEventListener("click", reset);
element("unignore").addEventListener("click", () => send({ type: "ignore", region: null }));
element("sensitivity").addEventListener("change", (event) => send({ type: "sensitivity", score: Number(event.target.value) }));
element("set-lag").addEventListener("change", ({ target }) => {
  if (target.reportValidity()) send({ type: "lag", milliseconds: target.value === "" ? null : Number(target.value) });
});
element("find-lag").addEventListener("click", () => (lagFinder.isRunning ? lagFinder.stop() : lagFinder.start()));
element("full-screen").addEventListener("click", fullScreen);
element("small-window").hidden = !hasSmallWindow;
element("small-window").addEventListener("click", () => toggleSmallWindow(stage, () => session && followVideo()));
element("zoom-out").addEventListener("click", () => extent.zoom(1));
element("zoom-in").addEventListener("click", () => extent.zoom(-1));
element("timeline").addEventListener("wheel", (event) => {
  // Without Ctrl, or two fingers that pinch, the wheel scrolls the page.
  if (!event.ctrlKey) return;
  event.preventDefault();
  extent.zoom(Math.sign(event.deltaY));
});
element("position").addEventListener("input", ({ target }) => extent.showUntil(target.value === target.max ? null : Number(target.value)));
for (const button of document.querySelectorAll("button[data-saves]")) {
  button.addEventListener("click", () => save(session?.room ?? lastRoom, button.dataset.saves));
}
setText(element("privacy"), t("Picture and sound go to this server alone, {0}, and no further. Nothing is stored: both are dropped once they are scored, names and timeline when you leave.", location.host));
window.addEventListener("pagehide", () => end());
