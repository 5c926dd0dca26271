// Capture: camera and microphone, or a shared meeting with its audio. No audio filters: they add delay.

import { preference } from "./preferences.js";
import { t } from "./strings.js";

const AUDIO = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
const FRAME_RATE = { ideal: 30, max: 30 };

/**
 * Frame rate at each load level of the server. At level 4 it scores six ticks a second and has no use for more; below
 * ten frames a second lips can no longer be compared with audio. The busy machine is often this one, and a frame that
 * is not captured is neither encoded nor drawn.
 */
const FRAME_RATE_AT_LEVEL = [30, 25, 20, 12.5, 10];

/** Longer side of the frame in pixels: enough for faces in front of a camera, at half the cost of 1280×720. */
const CAMERA_WIDTH = 960;

/** A gallery's faces are small. */
const MEETING = { width: { ideal: 1280, max: 1280 }, height: { ideal: 720, max: 720 }, frameRate: FRAME_RATE };

/** Why there is no video or no audio, in a line that says what to do. */
export class CaptureProblem extends Error {}

/** A MediaStream of the chosen camera and microphone, or of others where these are not there. */
export async function openCamera() {
  requireDevices("getUserMedia");
  try {
    return prepared(await navigator.mediaDevices.getUserMedia(chosenDevices()));
  } catch (error) {
    throw new CaptureProblem(cameraLine(error), { cause: error });
  }
}

/** A MediaStream of a tab, a window or a screen, with its audio. */
export async function openMeeting() {
  requireDevices("getDisplayMedia");
  const stream = await askForMeeting();
  if (stream.getAudioTracks().length === 0) {
    release(stream);
    throw new CaptureProblem(
      t("What you shared has no audio. Share a browser tab and switch on “Also share tab audio”, or the entire screen with its system audio."),
    );
  }
  return prepared(stream);
}

/** Limits the frame rate of `stream` to what a server at this load level can use. */
export function followLoad(stream, level) {
  const frameRate = { ideal: FRAME_RATE_AT_LEVEL[level], max: FRAME_RATE_AT_LEVEL[level] };
  for (const track of stream.getVideoTracks()) {
    track.applyConstraints({ ...track.getConstraints(), frameRate }).catch(() => {});
  }
}

/** Seconds without any signal that are no pause. */
const SILENT_MS = 5000;
const SILENT_PEAK = 1e-4;
const BLACK_LEVEL = 20;

/**
 * Calls `found(line)` once a second with what is wrong with `stream`, or "": a microphone without any signal, a `video`
 * that is black. Ends when `signal` aborts.
 */
export function checkInputs(stream, video, signal, found) {
  const context = new AudioContext();
  const analyser = new AnalyserNode(context, { fftSize: 32_768 });
  const hasAudio = stream.getAudioTracks().length > 0;
  if (hasAudio) context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const canvas = new OffscreenCanvas(32, 18);
  const pixels = canvas.getContext("2d", { willReadFrequently: true });
  let [soundMs, lightMs] = [performance.now(), performance.now()];
  const timer = setInterval(() => {
    const now = performance.now();
    analyser.getFloatTimeDomainData(samples);
    const isMeasured = hasAudio && context.state === "running";
    if (!isMeasured || samples.some((value) => Math.abs(value) > SILENT_PEAK)) soundMs = now;
    pixels.drawImage(video, 0, 0, canvas.width, canvas.height);
    const { data } = pixels.getImageData(0, 0, canvas.width, canvas.height);
    if (video.readyState < 2 || data.some((value, k) => k % 4 < 3 && value > BLACK_LEVEL)) lightMs = now;
    const silent = now - soundMs > SILENT_MS && t("The microphone is silent: is it muted or unplugged?");
    const black = now - lightMs > SILENT_MS && t("The camera is black: is it covered?");
    found([silent, black].filter(Boolean).join(" "));
  }, 1000);
  signal.addEventListener("abort", () => (clearInterval(timer), context.close()));
}

/** Releases camera, microphone and screen. */
export function release(stream) {
  for (const track of stream.getTracks()) track.stop();
}

function chosenDevices() {
  const width = Number(preference("resolution", CAMERA_WIDTH));
  const size = { width: { ideal: width, max: 1280 }, height: { ideal: (width * 9) / 16, max: 720 } };
  const [camera, microphone] = [preference("camera", ""), preference("microphone", "")];
  return {
    video: { ...size, frameRate: FRAME_RATE, ...(camera && { deviceId: { ideal: camera } }) },
    audio: { ...AUDIO, ...(microphone && { deviceId: { ideal: microphone } }) },
  };
}

async function askForMeeting() {
  try {
    return await navigator.mediaDevices.getDisplayMedia({
      video: MEETING,
      audio: { ...AUDIO, suppressLocalAudioPlayback: false },
      selfBrowserSurface: "exclude",
      surfaceSwitching: "include",
      systemAudio: "include",
    });
  } catch (error) {
    throw new CaptureProblem(meetingLine(error), { cause: error });
  }
}

function requireDevices(name) {
  if (navigator.mediaDevices?.[name]) return;
  throw new CaptureProblem(
    window.isSecureContext
      ? t("This browser cannot share that. Use a current Chromium or Firefox on a computer.")
      : t("Browsers give camera and microphone only to pages on HTTPS or on this machine. Open this page by https://… or at localhost."),
  );
}

function prepared(stream) {
  for (const track of stream.getVideoTracks()) track.contentHint = "motion";
  for (const track of stream.getAudioTracks()) track.contentHint = "speech";
  return stream;
}

function cameraLine(error) {
  switch (error.name) {
    case "NotAllowedError":
      return t("Camera and microphone are not allowed. Allow both for this page (the icon beside the address), then try again.");
    case "NotFoundError":
      return t("No camera or no microphone was found. Plug both in, then try again.");
    case "NotReadableError":
      return t("The camera or the microphone is in use by another program. Close that, then try again.");
    default:
      return t("The camera could not be opened ({0}).", error.message || error.name);
  }
}

function meetingLine(error) {
  switch (error.name) {
    case "NotAllowedError":
      return t("Nothing was shared. Choose the meeting’s tab in the list, then press Share.");
    case "NotReadableError":
      return t("The system does not let this browser record that. Allow screen recording for it, or share a tab.");
    default:
      return t("The meeting could not be shared ({0}).", error.message || error.name);
  }
}
