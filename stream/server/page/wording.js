// Wording: a room's state as text.

import { t } from "./strings.js";

const LOADS = [t("keeps up"), t("busy, scores 1 of 2"), t("busy, scores 1 of 4"), t("very busy"), t("overloaded")];

/** Who speaks, as a heading and a line below it. */
export function whoSpeaks(room) {
  if (!room.hasBegun) return { name: t("Waiting"), more: t("Nothing from the server yet") };
  if (room.speaker.state === "offscreen" && room.speaker.id !== null) {
    return { name: t("{0}, out of view", room.nameOf(room.speaker.id)), more: t("is speaking") };
  }
  if (room.speaker.state === "offscreen") return { name: t("Off screen"), more: t("A voice that fits nobody in view") };
  if (room.speaker.state === "undecided") return { name: t("Undecided"), more: t("Speech, not known yet whose") };
  if (room.speaker.state !== "speaking" || room.speaker.id === null) {
    return { name: t("Silence"), more: room.inView.length ? t("Nobody is speaking") : t("No face in view") };
  }
  const others = room.speaking.filter((id) => id !== room.speaker.id).map((id) => room.nameOf(id));
  return { name: room.nameOf(room.speaker.id), more: others.length ? t("with {0}", others.join(", ")) : t("is speaking") };
}

/** The room lag: how much later audio arrives than video. */
export function lagText(lag) {
  if (!lag || lag.confidence <= 0) return t("not known yet");
  const milliseconds = Math.round(lag.milliseconds);
  if (milliseconds === 0) return "0 ms";
  return milliseconds > 0 ? t("{0} ms late", milliseconds) : t("{0} ms early", -milliseconds);
}

/** Whether the server keeps up, and what it sheds otherwise. */
export function loadText(load) {
  return LOADS[Math.min(load?.level ?? 0, LOADS.length - 1)];
}

/** How late the page shows the video; 0 while that is not known. */
export function latenessText(seconds) {
  return seconds > 0 ? `${Math.round(1000 * seconds)} ms` : t("not known yet");
}
