// Devices: choosing and trying camera, microphone and resolution before joining.

import { CaptureProblem, openCamera, release } from "./capture.js";
import { prefer, preference } from "./preferences.js";
import { t } from "./strings.js";

const FLOOR_DECIBELS = -60;

/** The form in `panel`, a details element: opens the devices while it is open. `failed(line)`: why there are none. */
export class Devices {
  #panel;
  #failed;
  #parts;
  #stream = null;
  #closed = new AbortController();

  constructor(panel, failed) {
    this.#panel = panel;
    this.#failed = failed;
    const part = (name) => panel.querySelector(`.${name}`);
    this.#parts = {
      video: part("preview"), level: part("level"), mirror: part("mirror"),
      camera: part("camera"), microphone: part("microphone"), resolution: part("resolution"),
    };
    const { camera, microphone, resolution, mirror } = this.#parts;
    resolution.value = preference("resolution", resolution.value);
    mirror.checked = preference("mirror", false);
    for (const [key, select] of Object.entries({ camera, microphone, resolution })) {
      select.addEventListener("change", () => {
        prefer(key, select.value);
        this.#open();
      });
    }
    mirror.addEventListener("change", () => {
      prefer("mirror", mirror.checked);
      this.#showMirrored();
    });
    panel.addEventListener("toggle", () => (panel.open ? this.#open() : this.close()));
  }

  /** The stream that is being tried, which the caller takes over, or null. */
  take() {
    const stream = this.#stream;
    this.#stream = null;
    this.close();
    return stream;
  }

  /** Releases the devices. */
  close() {
    this.#closed.abort();
    if (this.#stream) release(this.#stream);
    this.#stream = this.#parts.video.srcObject = null;
    this.#panel.open = false;
  }

  async #open() {
    this.#closed.abort();
    if (this.#stream) release(this.#stream);
    this.#stream = null;
    const closed = (this.#closed = new AbortController());
    try {
      const stream = await openCamera();
      if (closed.signal.aborted) {
        release(stream);
        return;
      }
      this.#stream = stream;
    } catch (error) {
      if (!(error instanceof CaptureProblem)) throw error;
      this.close();
      this.#failed(error.message);
      return;
    }
    this.#parts.video.srcObject = this.#stream;
    this.#showMirrored();
    this.#list();
    measure(this.#stream, this.#parts.level, closed.signal);
  }

  #showMirrored() {
    this.#parts.video.classList.toggle("mirrored", this.#parts.mirror.checked);
  }

  async #list() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    const { camera, microphone } = this.#parts;
    const [video] = this.#stream?.getVideoTracks() ?? [];
    const [audio] = this.#stream?.getAudioTracks() ?? [];
    fill(camera, devices.filter(({ kind }) => kind === "videoinput"), video, (k) => t("Camera {0}", k));
    fill(microphone, devices.filter(({ kind }) => kind === "audioinput"), audio, (k) => t("Microphone {0}", k));
  }
}

function fill(select, devices, track, nameOf) {
  select.replaceChildren(...devices.map(({ deviceId, label }, k) => new Option(label || nameOf(k + 1), deviceId)));
  select.value = track?.getSettings().deviceId ?? "";
}

/** Shows the level of the stream's audio on `meter` until `signal` aborts. */
function measure(stream, meter, signal) {
  const context = new AudioContext();
  const analyser = new AnalyserNode(context, { fftSize: 1024 });
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const show = () => {
    if (signal.aborted) return;
    analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, value) => sum + value * value, 0) / samples.length;
    meter.value = Math.max(1 - (10 * Math.log10(power + 1e-9)) / FLOOR_DECIBELS, 0);
    requestAnimationFrame(show);
  };
  show();
  signal.addEventListener("abort", () => context.close());
}
