// List of people: colour, editable name, speaking time and its share, pin, exclusion.

import { colour } from "./palette.js";
import { t } from "./strings.js";
import { clockTime } from "./timeline.js";

const MOST_PEOPLE = 25;

/** A person out of view leaves the list after as long as they were in view, but within these limits. */
const GONE_MS = { least: 1000, most: 10_000 };

export const LONGEST_NAME = 40;

export class PeopleList {
  #list;
  #template;
  #rows = new Map();
  #send;

  /** `send(command)` gives a command to the room. */
  constructor(list, template, send) {
    this.#list = list;
    this.#template = template;
    this.#send = send;
  }

  /** Ids in the order of the list. */
  get ids() {
    return [...this.#rows.keys()].toSorted((a, b) => a - b);
  }

  /** Shows `room` as it is at `nowMs`. */
  show(room, nowMs) {
    for (const id of room.inView) {
      const row = this.#row(id);
      row.firstMs ??= nowMs;
      row.seenMs = nowMs;
    }
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
    const row = { item, mark: part("mark"), name: part("name"), spoken: part("spoken"), share: part("share"), pin: part("pin"), exclude: part("exclude"), firstMs: null, seenMs: 0 };
    item.style.setProperty("--person", colour(id));
    row.name.placeholder = t("Person {0}", id);
    row.name.maxLength = LONGEST_NAME;
    row.name.setAttribute("aria-label", t("Name of person {0}", id));
    row.name.addEventListener("change", () => this.#send({ type: "name", id, name: row.name.value.trim() }));
    row.name.addEventListener("keydown", (event) => event.key === "Enter" && row.name.blur());
    row.pin.addEventListener("click", () => this.#send({ type: "pin", id: row.pin.ariaPressed === "true" ? null : id }));
    row.exclude.addEventListener("click", () => this.#send({ type: "exclude", id, on: row.exclude.ariaPressed !== "true" }));
    return row;
  }

  /** Removes merged ids, people who left without speaking, and the longest gone when the list is full. */
  #forget(room, nowMs) {
    const isGone = ([, row]) => {
      const patienceMs = Math.min(Math.max(row.seenMs - row.firstMs, GONE_MS.least), GONE_MS.most);
      return nowMs - row.seenMs > patienceMs && !row.item.contains(document.activeElement);
    };
    const gone = [...this.#rows].filter(isGone);
    const isForgettable = ([id]) => !room.ownNameOf(id) && room.turns.secondsOf(id) < 1;
    const longestGone = gone.toSorted((a, b) => a[1].seenMs - b[1].seenMs);
    const surplus = longestGone.slice(0, Math.max(this.#rows.size - MOST_PEOPLE, 0));
    const merged = [...this.#rows].filter(([id]) => room.merged.has(id));
    for (const [id, row] of new Set([...merged, ...gone.filter(isForgettable), ...surplus])) {
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
  const share = room.turns.shareOf(id);
  setText(row.spoken, `${clockTime(room.turns.secondsOf(id))} · ${Math.round(100 * share)} %`);
  row.share.style.width = `${(100 * share).toFixed(1)}%`;
  const isPinned = room.pinned === id;
  row.pin.ariaPressed = String(isPinned);
  row.pin.setAttribute("aria-label", t("Pin {0}", room.nameOf(id)));
  row.pin.title = isPinned ? t("Pinned: stands out whoever speaks") : t("Pin: let this person stand out");
  const isExcluded = room.control.excluded.has(id);
  row.exclude.ariaPressed = String(isExcluded);
  row.exclude.setAttribute("aria-label", t("Never show {0}", room.nameOf(id)));
  row.exclude.title = isExcluded ? t("Never shown as the speaker") : t("Never show as the speaker");
}

/** Sets text only when it changes, so that a screen reader does not repeat it. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
