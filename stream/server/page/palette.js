// A colour for each person; the same as in stream/palette.py, so that window, plot and page agree.

const PALETTE = [
  [230, 159, 0],
  [86, 180, 233],
  [0, 170, 120],
  [204, 121, 167],
  [240, 228, 66],
  [213, 94, 0],
  [70, 130, 220],
  [153, 153, 51],
  [190, 55, 100],
  [68, 170, 153],
  [221, 204, 119],
  [180, 100, 210],
];

const rgbOf = (id) => PALETTE[(id - 1) % PALETTE.length];

export function colour(id) {
  return `rgb(${rgbOf(id).join(" ")})`;
}

/** A text colour that is legible on it. */
export function inkOn(id) {
  const [red, green, blue] = rgbOf(id);
  return 0.299 * red + 0.587 * green + 0.114 * blue > 128 ? "#16181c" : "#ffffff";
}
