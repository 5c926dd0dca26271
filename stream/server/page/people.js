// List of people: colour, editable name, speaking time, pin.

import { colour } from "./palette.js";

const MOST_PEOPLE = 25;
const GONE_MS = 10_000;
const LONGEST_NAME = 40;

export class PeopleList {
  #list;
  #template;
  #rows = new Map();
  #rename;
  #pin;

  /** `rename(id, name)` and `pin(id | null)` are called for the user's actions. */
  constructor(list, template, rename, pin) {
    this.#list = list;
    this.#template = template;
    this.#rename = rename;
    this.#pin = pin;
  }

  /** Ids in the order of the list. */
  get ids() {
    return [...this.#rows.keys()].toSorted((a, b) => a - b);
  }

  /** Shows `room` as it is at `nowMs`. */
  show(room, nowMs) {
    for (const id of room.inView) this.#row(id).seenMs = nowMs;
    this.#forget(room, nowMs);
    for (const [id, row] of this.#rows) fill(row, id, room);
  }

  clear() {
    for (const row of this.#rows.values()) row.item.remove();
    this.#rows.clear();
  }

  #row(id) {
    let row = this.#rows.get(id);
    if (!row) {
      row = this.#newRow(id);
      this.#rows.set(id, row);
      const after = this.ids.find((other) => other > id);
      this.#list.insertBefore(row.item, after === undefined ? null : this.#rows.get(after).item);
    }
    return row;
  }

  #newRow(id) {
    const item = this.#template.content.firstElementChild.cloneNode(true);
    const part = (name) => item.querySelector(`.${name}`);
    const row = { item, mark: part("mark"), name: part("name"), spoken: part("spoken"), pin: part("pin"), seenMs: 0 };
    row.mark.style.setProperty("--person", colour(id));
    row.name.placeholder = `Person ${id}`;
    row.name.maxLength = LONGEST_NAME;
    row.name.setAttribute("aria-label", `Name of person ${id}`);
    row.name.addEventListener("change", () => this.#rename(id, row.name.value.trim()));
    row.name.addEventListener("keydown", (event) => event.key === "Enter" && row.name.blur());
    row.pin.addEventListener("click", () => this.#pin(row.pin.ariaPressed === "true" ? null : id));
    return row;
  }

  /** Removes people who left without speaking, and the longest gone when the list is full. */
  #forget(room, nowMs) {
    const gone = [...this.#rows].filter(([, row]) => row.seenMs < nowMs - GONE_MS && !row.item.contains(document.activeElement));
    const isForgettable = ([id]) => !room.names.has(id) && room.turns.secondsOf(id) < 1;
    const longestGone = gone.toSorted((a, b) => a[1].seenMs - b[1].seenMs);
    const surplus = longestGone.slice(0, Math.max(this.#rows.size - MOST_PEOPLE, 0));
    for (const [id, row] of new Set([...gone.filter(isForgettable), ...surplus])) {
      row.item.remove();
      this.#rows.delete(id);
    }
  }
}

function fill(row, id, room) {
  const name = room.names.get(id) ?? "";
  if (document.activeElement !== row.name && row.name.value !== name) row.name.value = name;
  row.item.classList.toggle("speaking", room.speaking.includes(id));
  row.item.classList.toggle("away", !room.inView.includes(id));
  setText(row.spoken, clockTime(room.turns.secondsOf(id)));
  const isPinned = room.pinned === id;
  row.pin.ariaPressed = String(isPinned);
  row.pin.setAttribute("aria-label", `Pin ${room.nameOf(id)}`);
  row.pin.title = isPinned ? "Pinned: stands out whoever speaks" : "Pin: let this person stand out";
}

/** Minutes and seconds. */
function clockTime(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** Sets text only when it changes, so that a screen reader does not repeat it. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
