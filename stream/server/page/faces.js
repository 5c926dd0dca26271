// Faces: a button over each face in the video, and the sheet of what can be done with that person.

import { placed } from "./drawing.js";
import { LONGEST_NAME } from "./people.js";
import { t } from "./strings.js";

const MARGIN_PIXELS = 8;

/** Of a face's size: a poster's or a TV's face moves a little within the place that is ignored. */
const IGNORED_MARGIN = 0.3;

export class FaceButtons {
  #container;
  #buttons = new Map();
  #open;

  /** `open(id, button)` is called for a click, a tap or Enter. */
  constructor(container, open) {
    this.#container = container;
    this.#open = open;
  }

  /** Places a button over each of the room's faces. */
  show(room, faces, isMirrored) {
    const scale = { x: 100 / room.picture.width, y: 100 / room.picture.height };
    for (const { id, box } of faces) {
      const button = this.#buttons.get(id) ?? this.#newButton(id);
      const at = placed(box, scale, isMirrored && 100);
      for (const [side, value] of [["left", at.x], ["top", at.y], ["width", at.width], ["height", at.height]]) {
        button.style[side] = `${value.toFixed(1)}%`;
      }
      const label = room.labelOf(id);
      if (button.getAttribute("aria-label") !== label) button.setAttribute("aria-label", label);
    }
    for (const [id, button] of this.#buttons) {
      const isNeeded = faces.some((face) => face.id === id) || button === document.activeElement;
      if (!isNeeded) this.#drop(id);
    }
  }

  /** Focuses the n-th face by id, counted from 1. */
  pick(number) {
    const ids = [...this.#buttons.keys()].toSorted((a, b) => a - b);
    this.#buttons.get(ids[number - 1])?.focus();
  }

  /** The id of the focused face, or null. */
  get picked() {
    return [...this.#buttons].find(([, button]) => button === document.activeElement)?.[0] ?? null;
  }

  clear() {
    for (const id of [...this.#buttons.keys()]) this.#drop(id);
  }

  #newButton(id) {
    const button = document.createElement("button");
    button.type = "button";
    button.addEventListener("click", () => this.#open(id, button));
    this.#buttons.set(id, button);
    this.#container.append(button);
    return button;
  }

  #drop(id) {
    this.#buttons.get(id).remove();
    this.#buttons.delete(id);
  }
}

/** The sheet of one person. `send(command)` gives a command to the room. */
export class PersonSheet {
  #sheet;
  #parts;
  #id = null;

  constructor(sheet, send) {
    this.#sheet = sheet;
    const part = (name) => sheet.querySelector(`.${name}`);
    this.#parts = { title: part("title"), name: part("name"), pin: part("pinned"), exclude: part("excluded"), ignore: part("ignored") };
    const { name, pin, exclude, ignore } = this.#parts;
    name.maxLength = LONGEST_NAME;
    name.addEventListener("change", () => send({ type: "name", id: this.#id, name: name.value.trim() }));
    name.addEventListener("keydown", (event) => event.key === "Enter" && sheet.hidePopover());
    pin.addEventListener("click", () => send({ type: "pin", id: pin.ariaPressed === "true" ? null : this.#id }));
    exclude.addEventListener("click", () => send({ type: "exclude", id: this.#id, on: exclude.ariaPressed !== "true" }));
    ignore.addEventListener("click", () => {
      send({ type: "ignore", region: this.region });
      sheet.hidePopover();
    });
  }

  /** Opens beside `anchor`, an element. */
  open(id, anchor, room) {
    this.#id = id;
    this.region = ignoredPlace(room.moments.newestFaces().find((face) => face.id === id)?.box);
    this.#parts.ignore.hidden = !this.region;
    this.#parts.name.value = room.names.get(id) ?? "";
    this.#parts.name.placeholder = t("Person {0}", id);
    this.show(room);
    this.#sheet.showPopover();
    const [box, own] = [anchor.getBoundingClientRect(), this.#sheet.getBoundingClientRect()];
    const within = (value, most) => `${Math.max(Math.min(value, most - MARGIN_PIXELS), MARGIN_PIXELS)}px`;
    this.#sheet.style.left = within(box.right + MARGIN_PIXELS, innerWidth - own.width);
    this.#sheet.style.top = within(box.top, innerHeight - own.height);
    this.#parts.pin.focus();
  }

  /** Shows the person as `room` has them. */
  show(room) {
    if (this.#id === null) return;
    const { title, pin, exclude } = this.#parts;
    const name = room.nameOf(this.#id);
    if (title.textContent !== name) title.textContent = name;
    pin.ariaPressed = String(room.pinned === this.#id);
    exclude.ariaPressed = String(room.control.excluded.has(this.#id));
  }

  close() {
    this.#id = null;
    this.#sheet.hidePopover();
  }
}

function ignoredPlace(box) {
  if (!box) return null;
  const [x, y, width, height] = box;
  const [across, down] = [IGNORED_MARGIN * width, IGNORED_MARGIN * height];
  return [x - across, y - down, width + 2 * across, height + 2 * down].map(Math.round);
}
