// Export of a session: who spoke when, as JSON, CSV, WebVTT, SRT and RTTM; the same forms as in core/transcript.py.

import { OFFSCREEN } from "./turns.js";

const VERSION = 1;

const KINDS = {
  json: ["application/json", json],
  csv: ["text/csv", csv],
  rttm: ["text/plain", rttm],
  vtt: ["text/vtt", vtt],
  srt: ["application/x-subrip", srt],
};

/** Saves what `room` has seen, in one of KINDS. */
export function save(room, kind) {
  const [type, write] = KINDS[kind];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([write(room)], { type }));
  link.download = `speakerlight.${kind}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const rounded = (number, digits = 3) => Number(number.toFixed(digits));

/** The turns of all people, by start. */
const turnsOf = (room) => room.turns.all
  .filter(({ id, start, end }) => id !== OFFSCREEN && end > start)
  .toSorted((a, b) => a.start - b.start);

function json(room) {
  const turns = turnsOf(room).map(({ id, start, end }) => ({
    id, name: room.ownNameOf(id), start: rounded(start), end: rounded(end),
  }));
  const people = room.turns.statistics().map(({ id, seconds, share, longest, ...counts }) => ({
    id, name: room.ownNameOf(id), seconds: rounded(seconds), share: rounded(share, 4), longest: rounded(longest), ...counts,
  }));
  const whole = { type: "transcript", version: VERSION, duration: rounded(room.turns.newest ?? 0), people, turns };
  return `${JSON.stringify(whole, null, 1)}\n`;
}

function csv(room) {
  const rows = turnsOf(room).map(({ id, start, end }) =>
    [...[start, end, end - start].map((seconds) => seconds.toFixed(3)), id, quoted(room.nameOf(id)), ""].join(","));
  return ["start,end,duration,id,name,text", ...rows, ""].join("\r\n");
}

function quoted(text) {
  return `"${text.replaceAll('"', '""')}"`;
}

function rttm(room) {
  const line = ({ id, start, end }) => {
    const name = (room.ownNameOf(id) ?? `person${id}`).replace(/\s+/g, "_");
    return `SPEAKER session 1 ${start.toFixed(3)} ${(end - start).toFixed(3)} <NA> <NA> ${name} <NA> <NA>\n`;
  };
  return turnsOf(room).map(line).join("");
}

function vtt(room) {
  const cue = ({ id, start, end }, k) => {
    const name = escaped(room.nameOf(id));
    return `${k + 1}\n${stamp(start)} --> ${stamp(end)}\n<v ${name}>${name}:`;
  };
  return `${["WEBVTT", ...turnsOf(room).map(cue)].join("\n\n")}\n`;
}

function srt(room) {
  const cue = ({ id, start, end }, k) => {
    const times = `${stamp(start)} --> ${stamp(end)}`.replaceAll(".", ",");
    return `${k + 1}\n${times}\n${room.nameOf(id)}:\n`;
  };
  return turnsOf(room).map(cue).join("\n");
}

function stamp(seconds) {
  return new Date(1000 * Math.max(seconds, 0)).toISOString().slice(11, 23);
}

function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
