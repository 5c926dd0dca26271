// Timeline of the session on a canvas: a lane for each person, coloured while that person spoke; zoom and position.

import { fit } from "./drawing.js";
import { colour } from "./palette.js";
import { t } from "./strings.js";
import { OFFSCREEN } from "./turns.js";

const LANE_PIXELS = 26;
const AXIS_PIXELS = 22;
const BAR_PIXELS = 12;
const MOST_LANES = 9;
const LEAST_LANES = 3;
const NARROW_PIXELS = 480;

/** Seconds shown at each zoom, and their name. */
const SPANS = [
  [60, t("{0} min", 1)],
  [300, t("{0} min", 5)],
  [900, t("{0} min", 15)],
  [3600, t("1 hour")],
  [Infinity, t("Whole session")],
];

/** Grid steps in seconds. */
const STEPS = [15, 60, 300, 900, 1800, 3600, 7200, 14_400, 43_200];
const MOST_STEPS = 5;

/** What part of the session is shown. */
export class Extent {
  #zoom = 0;
  /** Session seconds at the right edge; null: now. */
  #end = null;

  get name() {
    return SPANS[this.#zoom][1];
  }

  get isClosest() {
    return this.#zoom === 0;
  }

  get isWidest() {
    return this.#zoom === SPANS.length - 1;
  }

  /** Shows more time (`steps` > 0) or less. */
  zoom(steps) {
    this.#zoom = Math.min(Math.max(this.#zoom + steps, 0), SPANS.length - 1);
  }

  /** Shows the time up to `end` (session seconds); null: follow the newest. */
  showUntil(end) {
    this.#end = end;
  }

  /** {from, to, isLive} in session seconds, of a session from `first` to `now`. */
  of(first, now) {
    const seconds = Math.min(SPANS[this.#zoom][0], Math.max(now - first, SPANS[0][0]));
    const to = this.#end === null ? now : Math.min(Math.max(this.#end, first + seconds), now);
    return { from: to - seconds, to, isLive: to === now };
  }
}

/** Draws `turns` in {from, to, isLive} (session seconds) for `people` (ids); `first`: when the session began. */
export function drawTimeline(canvas, turns, people, extent, first, nameOf) {
  const shown = turns.between(extent.from, extent.to);
  const lanes = lanesOf(shown, people);
  canvas.style.height = `${Math.max(lanes.length, LEAST_LANES) * LANE_PIXELS + AXIS_PIXELS}px`;
  if (!fit(canvas)) return;
  const ratio = window.devicePixelRatio;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const gutter = Math.min(Math.max(0.16 * width, 104), 148);
  const plot = { left: gutter, right: width - 6, bottom: height - AXIS_PIXELS };
  plot.xOf = (time) => plot.right - ((extent.to - time) / (extent.to - extent.from)) * (plot.right - plot.left);
  const ink = inks(canvas);
  context.clearRect(0, 0, width, height);
  drawGrid(context, plot, extent, first, width < NARROW_PIXELS ? 2 : MOST_STEPS, ink);
  lanes.forEach((id, lane) => drawLane(context, plot, lane, id, shown, id === OFFSCREEN ? t("Off screen") : nameOf(id), ink));
}

/** The same as text. */
export function describeTimeline(turns, people, nameOf) {
  const spoken = people.map((id) => [id, turns.secondsOf(id)]).filter(([, seconds]) => seconds >= 0.5);
  if (spoken.length === 0) return t("Timeline: nobody has spoken");
  return t("Timeline: {0}", spoken.map(([id, seconds]) => t("{0} {1} seconds", nameOf(id), Math.round(seconds))).join(", "));
}

function lanesOf(turns, people) {
  const lanes = people.slice(0, MOST_LANES);
  return turns.some((turn) => turn.id === OFFSCREEN) ? [...lanes, OFFSCREEN] : lanes;
}

function inks(canvas) {
  const style = getComputedStyle(canvas);
  const read = (name) => style.getPropertyValue(name);
  return { text: read("--ink"), quiet: read("--quiet"), line: read("--line"), lane: read("--lane"), font: style.fontFamily };
}

/** Lines at round distances from now, or at round times of the session when it is looked back on. */
function drawGrid(context, { left, right, bottom, xOf }, { from, to, isLive }, first, mostSteps, ink) {
  context.font = `12px ${ink.font}`;
  context.textBaseline = "alphabetic";
  context.fillStyle = ink.quiet;
  context.strokeStyle = ink.line;
  context.lineWidth = 1;
  const step = STEPS.find((seconds) => (to - from) / seconds <= mostSteps) ?? STEPS.at(-1);
  const begin = isLive ? to : first + step * Math.floor((to - first) / step);
  // Counted, because sums of seconds are not round; the line at the left end is drawn in spite of them, too.
  for (let k = 0; k * step <= begin - from + 0.001; k += 1) {
    const time = begin - k * step;
    const x = Math.round(xOf(time)) - 0.5;
    context.beginPath();
    context.moveTo(x, 0);
    context.lineTo(x, bottom);
    context.stroke();
    context.textAlign = x >= right - 20 ? "right" : x <= left + 20 ? "left" : "center";
    context.fillText(isLive ? ago(k * step) : clockTime(time - first + 0.001), x, bottom + 16);
  }
  context.textAlign = "left";
}

function ago(seconds) {
  if (seconds === 0) return t("now");
  return seconds < 60 ? `−${seconds} s` : `−${clockTime(seconds)}`;
}

/** Hours, minutes and seconds. */
export function clockTime(seconds) {
  const whole = Math.max(Math.floor(seconds), 0);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const rest = String(whole % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

function drawLane(context, { left, right, xOf }, lane, id, turns, name, ink) {
  const middle = (lane + 0.5) * LANE_PIXELS;
  const paint = id === OFFSCREEN ? ink.quiet : colour(id);
  bar(context, left, right, middle, ink.lane);
  let drawnTo = -Infinity;
  for (const turn of turns) {
    if (turn.id !== id) continue;
    const [start, end] = [Math.max(xOf(turn.start), left), Math.min(xOf(turn.end), right)];
    // What lies within a pixel that is drawn already changes nothing.
    if (end > left && end > drawnTo + 0.5) bar(context, start, (drawnTo = end), middle, paint);
  }
  context.fillStyle = paint;
  context.beginPath();
  context.arc(5, middle, 5, 0, 2 * Math.PI);
  context.fill();
  context.fillStyle = ink.text;
  context.font = `500 13px ${ink.font}`;
  context.textBaseline = "middle";
  context.fillText(shortened(context, name, left - 30), 18, middle + 1);
}

function bar(context, from, to, middle, paint) {
  const width = Math.max(to - from, 3);
  context.fillStyle = paint;
  context.beginPath();
  context.roundRect(to - width, middle - BAR_PIXELS / 2, width, BAR_PIXELS, Math.min(BAR_PIXELS / 3, width / 2));
  context.fill();
}

function shortened(context, text, most) {
  if (context.measureText(text).width <= most) return text;
  let end = text.length;
  while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > most) end -= 1;
  return `${text.slice(0, end).trimEnd()}…`;
}
