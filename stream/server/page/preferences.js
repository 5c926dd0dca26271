// Preferences: the user's choices, kept by this browser.

const STORED = "speakerlight-preferences";

let chosen = stored();

/** The value chosen for `key`, or `otherwise`. */
export const preference = (key, otherwise) => chosen[key] ?? otherwise;

/** Remembers a choice. */
export function prefer(key, value) {
  chosen = { ...chosen, [key]: value };
  try {
    localStorage.setItem(STORED, JSON.stringify(chosen));
  } catch {
    // Storage is blocked: the choice lasts until a reload.
  }
}

function stored() {
  try {
    return JSON.parse(localStorage.getItem(STORED)) ?? {};
  } catch {
    return {};
  }
}
