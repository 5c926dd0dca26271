// Overlay page for OBS, transparent: the speaker's name as a lower third, and boxes with ?boxes=1.

import { linkTo } from "./access.js";
import { backoffSeconds } from "./backoff.js";
import { drawMarks, fit } from "./drawing.js";
import { colour } from "./palette.js";
import { Room } from "./room.js";

const query = new URLSearchParams(location.search);
const lowerThird = document.getElementById("lower-third");
const marks = document.getElementById("marks");
marks.hidden = query.get("boxes") !== "1";

let room = new Room();
let attempt = 0;

function listen() {
  const socket = new WebSocket(linkTo("/events", { room: query.get("room") }, "ws"));
  socket.addEventListener("open", () => {
    attempt = 0;
  });
  socket.addEventListener("message", ({ data }) => {
    room.take(JSON.parse(data), null);
    show();
  });
  socket.addEventListener("close", () => {
    room = new Room();
    show();
    setTimeout(listen, 1000 * backoffSeconds(attempt++));
  });
}

function show() {
  const { state, id } = room.speaker;
  const isShown = state === "speaking" && id !== null;
  lowerThird.classList.toggle("shown", isShown);
  if (isShown) {
    lowerThird.style.setProperty("--person", colour(id));
    document.getElementById("name").textContent = room.nameOf(id);
  }
  if (!marks.hidden && fit(marks)) drawBoxes();
}

function drawBoxes() {
  const primary = room.inView.includes(room.pinned) ? room.pinned : room.speaker.id;
  drawMarks(marks, room.picture, room.moments.newestFaces(), { primary, excluded: room.control.excluded, labelOf: (id) => room.nameOf(id) });
}

listen();
