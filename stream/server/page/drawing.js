// Marks: boxes, names and the speaking symbol on a canvas over the video; the same as in stream/overlay.py.

import { colour, inkOn } from "./palette.js";

const INK = "#16181c";
const PLATE = "rgb(22 24 28 / 78%)";
const WHITE = "#ffffff";
const BARS = [0.45, 0.9, 0.6];

/**
 * Draws marks for `faces` (boxes in pixels of `picture`) over all of `canvas`.
 * `primary`: the highlighted id, or null; `excluded`: ids that are never primary; `labelOf(id)`: the label;
 * `isMirrored`: whether left and right are exchanged.
 */
export function drawMarks(canvas, picture, faces, { primary, excluded, labelOf, isMirrored = false }) {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  const scale = { x: canvas.width / picture.width, y: canvas.height / picture.height };
  const unit = unitOf(canvas);
  const order = (face) => (face.id === primary ? 2 : face.speaking ? 1 : 0);
  for (const face of faces.toSorted((a, b) => order(a) - order(b))) {
    const box = placed(face.box, scale, isMirrored && canvas.width);
    const isPrimary = face.id === primary;
    drawFrame(context, box, face, isPrimary, excluded.has(face.id), unit);
    drawScore(context, box, face, unit);
    drawLabel(context, box, face, labelOf(face.id), isPrimary, unit);
  }
}

/** Gives the canvas the resolution of the screen. Returns whether it has any size. */
export function fit(canvas) {
  const ratio = window.devicePixelRatio;
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  return width > 0 && height > 0;
}

/** Thickness of a thin line, in canvas pixels. */
function unitOf(canvas) {
  const ratio = window.devicePixelRatio;
  return ratio * Math.min(Math.max(canvas.height / ratio / 400, 1), 2);
}

/** A box in other units; mirrored within `mirroredWidth`, unless that is false. */
export function placed([x, y, width, height], scale, mirroredWidth = false) {
  const left = mirroredWidth === false ? x * scale.x : mirroredWidth - (x + width) * scale.x;
  return { x: left, y: y * scale.y, width: width * scale.x, height: height * scale.y };
}

function drawFrame(context, box, face, isPrimary, isExcluded, unit) {
  const lines = isPrimary
    ? [[WHITE, 5], [colour(face.id), 3]]
    : face.speaking
      ? [[INK, 4], [colour(face.id), 2]]
      : [[INK, 3.5], [colour(face.id), 1.75]];
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  if (isPrimary || face.speaking) {
    context.roundRect(box.x, box.y, box.width, box.height, Math.min(box.width, box.height) / 10);
  } else {
    traceCorners(context, box);
  }
  if (isExcluded) context.setLineDash([2 * unit, 6 * unit]);
  for (const [style, width] of lines) {
    context.strokeStyle = style;
    context.lineWidth = width * unit;
    context.stroke();
  }
  context.setLineDash([]);
}

function traceCorners(context, { x, y, width, height }) {
  const arm = Math.min(width, height) / 5;
  const radius = arm / 2;
  for (const [cornerX, stepX] of [[x, 1], [x + width, -1]]) {
    for (const [cornerY, stepY] of [[y, 1], [y + height, -1]]) {
      context.moveTo(cornerX + stepX * arm, cornerY);
      context.arcTo(cornerX, cornerY, cornerX, cornerY + stepY * arm, radius);
      context.lineTo(cornerX, cornerY + stepY * arm);
    }
  }
}

function drawScore(context, box, face, unit) {
  const [top, height] = [box.y + box.height + 6 * unit, 4 * unit];
  context.fillStyle = PLATE;
  context.beginPath();
  context.roundRect(box.x, top, box.width, height, height / 2);
  context.fill();
  const share = Math.min(Math.max(face.score ?? 0, 0), 1);
  if (share * box.width < height) return;
  context.fillStyle = colour(face.id);
  context.beginPath();
  context.roundRect(box.x, top, box.width * share, height, height / 2);
  context.fill();
}

function drawLabel(context, box, face, name, isPrimary, unit) {
  const size = 14 * unit;
  const pad = 0.45 * size;
  const mark = face.speaking ? size : 0.6 * size;
  context.font = `600 ${size}px system-ui, sans-serif`;
  const width = mark + context.measureText(name).width + 3.4 * pad;
  const height = size + 1.4 * pad;
  const x = Math.min(Math.max(box.x + (box.width - width) / 2, 0), Math.max(context.canvas.width - width, 0));
  const above = box.y - height - 6 * unit;
  const y = above >= 0 ? above : Math.max(box.y, 0) + 6 * unit;
  context.fillStyle = isPrimary ? colour(face.id) : PLATE;
  context.beginPath();
  context.roundRect(x, y, width, height, height / 3);
  context.fill();
  context.fillStyle = isPrimary ? inkOn(face.id) : colour(face.id);
  const middle = y + height / 2;
  if (face.speaking) drawSpeakingBars(context, x + 1.1 * pad, middle, mark);
  else drawDot(context, x + 1.1 * pad + mark / 2, middle, mark / 2.4);
  context.fillStyle = isPrimary ? inkOn(face.id) : WHITE;
  context.textBaseline = "middle";
  context.fillText(name, x + mark + 2 * pad, middle + 0.04 * size);
}

function drawSpeakingBars(context, left, middle, size) {
  const width = size / 5;
  context.beginPath();
  BARS.forEach((share, k) => {
    const height = share * size;
    context.roundRect(left + (k / 3) * size + width / 3, middle - height / 2, width, height, width / 2);
  });
  context.fill();
}

function drawDot(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}
