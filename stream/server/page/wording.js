// Wording: a room's state as text.

const LOADS = ["keeps up", "busy, scores 1 of 2", "busy, scores 1 of 4", "very busy", "overloaded"];

/** Who speaks, as a heading and a line below it. */
export function whoSpeaks(room) {
  if (!room.hasBegun) return { name: "Waiting", more: "Nothing from the server yet" };
  if (room.speaker.state === "offscreen") return { name: "Off screen", more: "A voice that fits nobody in view" };
  if (room.speaker.state === "undecided") return { name: "Undecided", more: "Speech, not known yet whose" };
  if (room.speaker.state !== "speaking" || room.speaker.id === null) {
    return { name: "Silence", more: room.inView.length ? "Nobody is speaking" : "No face in view" };
  }
  const others = room.speaking.filter((id) => id !== room.speaker.id).map((id) => room.nameOf(id));
  return { name: room.nameOf(room.speaker.id), more: others.length ? `with ${others.join(", ")}` : "is speaking" };
}

/** The room lag: how much later audio arrives than video. */
export function lagText(lag) {
  if (!lag || lag.confidence <= 0) return "not known yet";
  const milliseconds = Math.round(lag.milliseconds);
  if (milliseconds === 0) return "0 ms";
  return milliseconds > 0 ? `${milliseconds} ms late` : `${-milliseconds} ms early`;
}

/** Whether the server keeps up, and what it sheds otherwise. */
export function loadText(load) {
  return LOADS[Math.min(load?.level ?? 0, LOADS.length - 1)];
}

/** How late the page shows the video; 0 while that is not known. */
export function latenessText(seconds) {
  return seconds > 0 ? `${Math.round(1000 * seconds)} ms` : "not known yet";
}
