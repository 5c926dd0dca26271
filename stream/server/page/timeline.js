// Timeline of the last minute on a canvas: a lane for each person, coloured while that person spoke.

import { fit } from "./drawing.js";
import { colour } from "./palette.js";
import { OFFSCREEN, WINDOW_SECONDS } from "./turns.js";

const LANE_PIXELS = 26;
const AXIS_PIXELS = 22;
const BAR_PIXELS = 12;
const GRID_SECONDS = 15;
const MOST_LANES = 9;
const LEAST_LANES = 3;

/** Draws `turns` up to `now` (session seconds) for `people` (ids); `nameOf(id)` labels a lane. */
export function drawTimeline(canvas, turns, people, now, nameOf) {
  const lanes = lanesOf(turns, people);
  canvas.style.height = `${Math.max(lanes.length, LEAST_LANES) * LANE_PIXELS + AXIS_PIXELS}px`;
  if (!fit(canvas)) return;
  const ratio = window.devicePixelRatio;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const gutter = Math.min(Math.max(0.16 * width, 84), 148);
  const plot = { left: gutter, right: width - 6, bottom: height - AXIS_PIXELS };
  plot.xOf = (time) => plot.right - ((now - time) / WINDOW_SECONDS) * (plot.right - plot.left);
  const ink = inks(canvas);
  context.clearRect(0, 0, width, height);
  drawGrid(context, plot, now, ink);
  lanes.forEach((id, lane) => drawLane(context, plot, lane, id, turns, id === OFFSCREEN ? "Off screen" : nameOf(id), ink));
}

/** The same as text. */
export function describeTimeline(turns, people, nameOf) {
  const spoken = people.map((id) => [id, spokenBy(turns, id)]).filter(([, seconds]) => seconds >= 0.5);
  if (spoken.length === 0) return "Timeline of the last minute: nobody has spoken";
  const parts = spoken.map(([id, seconds]) => `${nameOf(id)} ${Math.round(seconds)} seconds`);
  return `Timeline of the last minute: ${parts.join(", ")}`;
}

function spokenBy(turns, id) {
  return turns.filter((turn) => turn.id === id).reduce((sum, turn) => sum + turn.end - turn.start, 0);
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

function drawGrid(context, { left, right, bottom, xOf }, now, ink) {
  context.font = `12px ${ink.font}`;
  context.textBaseline = "alphabetic";
  context.fillStyle = ink.quiet;
  context.strokeStyle = ink.line;
  context.lineWidth = 1;
  for (let ago = 0; ago <= WINDOW_SECONDS; ago += GRID_SECONDS) {
    const x = Math.round(xOf(now - ago)) - 0.5;
    context.beginPath();
    context.moveTo(x, 0);
    context.lineTo(x, bottom);
    context.stroke();
    context.textAlign = x >= right - 1 ? "right" : x <= left + 1 ? "left" : "center";
    context.fillText(ago === 0 ? "now" : `−${ago} s`, x, bottom + 16);
  }
  context.textAlign = "left";
}

function drawLane(context, { left, right, xOf }, lane, id, turns, name, ink) {
  const middle = (lane + 0.5) * LANE_PIXELS;
  const paint = id === OFFSCREEN ? ink.quiet : colour(id);
  bar(context, left, right, middle, ink.lane);
  for (const turn of turns) {
    if (turn.id === id && xOf(turn.end) > left) bar(context, Math.max(xOf(turn.start), left), xOf(turn.end), middle, paint);
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
