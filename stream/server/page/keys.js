// Keys: the window's keys, on the page. They do nothing while the user types or while they are switched off.

const ACTIONS = { p: "pin", e: "exclude", " ": "hold", "+": "surer", "-": "lessSure", x: "reset", h: "hide", f: "fullScreen", "?": "help" };

/** Elements that take these keys themselves. */
const TYPING = "input, select, textarea, [contenteditable]";
const PRESSED_BY_SPACE = "button, summary, a, dialog";

/** Calls `actions[name]()`, or `actions.pick(number)`, for a key; `isOn()`: whether keys are on at present. */
export function listenForKeys(actions, isOn) {
  document.addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !isOn() || target.closest(TYPING)) return;
    if (key === " " && target.closest(PRESSED_BY_SPACE)) return;
    if (/^[1-9]$/.test(key)) actions.pick(Number(key));
    else if (key in ACTIONS) actions[ACTIONS[key]]();
    else return;
    event.preventDefault();
  });
}
