"""Window: shows frames and reads keys, from the main thread only; without a display the run goes on without it."""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import logging
import math
import os
import select
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import cv2

from speakerlight.core.decision.commands import LONGEST_LAG_MS, NAME_LETTERS, ControlState
from speakerlight.core.framing import View
from speakerlight.core.media import Image
from speakerlight.core.snapshot import Snapshot

logger = logging.getLogger(__name__)

NOTICE = "no display: running without a window"
LOST = "the display is gone: running on without a window"

LOST_EVENTS = 0 if sys.platform == "win32" else select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)
"""Of the X connection's socket, when the other end has closed it."""


class Action(StrEnum):
    QUIT = "quit"
    HIDE = "hide"
    HELP = "help"
    PIN = "pin"
    PICK = "pick"
    EXCLUDE = "exclude"
    HOLD = "hold"
    VIEW = "view"
    RECORD = "record"
    SURER = "surer"
    LESS_SURE = "less sure"
    RESET = "reset"
    NAME = "name"
    IGNORE = "ignore"
    SOUND_EARLIER = "sound earlier"
    SOUND_LATER = "sound later"
    ESTIMATE_LAG = "estimate lag"
    OTHER = "other"


KEYS = {
    "q": Action.QUIT,
    "h": Action.HIDE,
    "?": Action.HELP,
    "p": Action.PIN,
    "e": Action.EXCLUDE,
    " ": Action.HOLD,
    "v": Action.VIEW,
    "r": Action.RECORD,
    "+": Action.SURER,
    "-": Action.LESS_SURE,
    "x": Action.RESET,
    "n": Action.NAME,
    "i": Action.IGNORE,
    ",": Action.SOUND_EARLIER,
    ".": Action.SOUND_LATER,
    "0": Action.ESTIMATE_LAG,
}

HELP = (
    ("1-9", "pick a person, by order of number; again: nobody"),
    ("n", "name the picked person or the speaker: type, then Enter"),
    ("p", "pin the picked person or the speaker, or let go"),
    ("e", "exclude the picked person or the speaker, or allow again"),
    ("i", "ignore the place of the picked person; nobody picked: show all"),
    ("space", "hold the speaker, or release"),
    ("v", "next view"),
    ("r", "stop or start the recording"),
    ("+ -", "mark when surer, less sure"),
    (", .", "sound comes earlier, later by 20 ms; 0: estimated"),
    ("x", "forget who is who"),
    ("h", "hide the marks, or show them"),
    ("?", "hide this sheet"),
    ("q", "quit"),
)
"""Lines of the help sheet: a key, and what it does."""

SENSITIVITY_STEP = 0.1
LAG_STEP_MS = 20.0

IGNORED_MARGIN = 0.3
"""Of a face's size: a poster's or a TV's face moves a little within the place that is ignored. As on the page."""

ENTER, ESCAPE, BACKSPACE = "\r", "\x1b", "\b"

Place = tuple[int, int, int, int]
"""Left, top, width and height of a window's image, in pixels of the desktop."""

SMALLEST_SIDE, FURTHEST = 80, 20_000
"""Bounds of a remembered place, in pixels."""

LARGEST_FRAME = 100
"""Title bars and borders are smaller than this many pixels: further away the system has put the window elsewhere."""

POLLS_A_LOOK = 20
"""Calls of ``keys`` between two looks at where the window is: half a second."""


@dataclass(frozen=True)
class KeyPress:
    """What a key asks for. ``number``: 1 … 9 for PICK, else 0. ``character``: what it types."""

    action: Action
    number: int = 0
    character: str = ""


Command = dict[str, object]


@dataclass(frozen=True)
class Selection:
    """What the keys have set for this window alone. ``picked``: id of the person that the next key is about.

    ``typed``: the name typed so far, for the person ``named``; None: keys are commands.
    """

    is_hidden: bool = False
    is_help_shown: bool = False
    picked: int | None = None
    named: int | None = None
    typed: str | None = None

    def after(
        self, key: KeyPress, snapshot: Snapshot | None, control: ControlState, view: View
    ) -> tuple[Selection, Command | None]:
        """The selection after a key, and the command that it gives, if any. ``view``: the one on show.

        Key n picks the n-th person in view in order of id, or nobody if that one is picked already; while a person is
        pinned it moves the pin. n, p, e are about the picked person, or else the primary one.
        """
        if self.typed is not None:
            return self._typing(key.character, self.typed)
        match key.action:
            case Action.HIDE:
                return replace(self, is_hidden=not self.is_hidden), None
            case Action.HELP:
                return replace(self, is_help_shown=not self.is_help_shown), None
            case Action.PICK:
                return self._picking(key.number, snapshot, control)
            case Action.NAME:
                person = self._person(snapshot)
                return replace(self, named=person, typed=None if person is None else ""), None
            case Action.IGNORE:
                return replace(self, picked=None), self._ignoring(snapshot, control)
        return self, self._command(key.action, snapshot, control, view)

    def notices(self, names: Mapping[int, str]) -> list[str]:
        """Texts for the status line: who is picked, the name that is being typed."""
        if self.typed is not None:
            return [f"name of {self.named}: {self.typed}_"]
        return [f"picked: {names.get(self.picked, str(self.picked))}"] if self.picked is not None else []

    def _person(self, snapshot: Snapshot | None) -> int | None:
        return self.picked if self.picked is not None else snapshot.primary if snapshot else None

    def _typing(self, character: str, typed: str) -> tuple[Selection, Command | None]:
        done = replace(self, named=None, typed=None)
        if character in (ENTER, "\n"):
            return done, {"type": "name", "id": self.named, "name": typed}
        if character == ESCAPE:
            return done, None
        if character in (BACKSPACE, "\x7f"):
            return replace(self, typed=typed[:-1]), None
        is_letter = character.isprintable() and len(typed) < NAME_LETTERS
        return replace(self, typed=typed + character) if is_letter else self, None

    def _picking(
        self, number: int, snapshot: Snapshot | None, control: ControlState
    ) -> tuple[Selection, Command | None]:
        people = sorted(face.id for face in snapshot.faces) if snapshot else []
        if number > len(people):
            return self, None
        picked = people[number - 1]
        if control.pinned is not None:
            return replace(self, picked=picked), {"type": "pin", "id": picked}
        return replace(self, picked=None if picked == self.picked else picked), None

    def _ignoring(self, snapshot: Snapshot | None, control: ControlState) -> Command | None:
        faces = snapshot.faces if snapshot else ()
        box = next((face.box for face in faces if face.id == self.picked), None)
        if box is None:
            return {"type": "ignore", "region": None} if control.ignored_regions and self.picked is None else None
        across, down = IGNORED_MARGIN * box.width, IGNORED_MARGIN * box.height
        region = [box.x - across, box.y - down, box.width + 2 * across, box.height + 2 * down]
        return {"type": "ignore", "region": [round(value) for value in region]}

    def _command(self, action: Action, snapshot: Snapshot | None, control: ControlState, view: View) -> Command | None:
        person = self._person(snapshot)
        match action:
            case Action.PIN if control.pinned is not None:
                return {"type": "pin", "id": None}
            case Action.PIN if person is not None:
                return {"type": "pin", "id": person}
            case Action.EXCLUDE if person is not None:
                return {"type": "exclude", "id": person, "on": person not in control.excluded}
            case Action.EXCLUDE if control.excluded:
                return {"type": "exclude", "id": max(control.excluded), "on": False}
            case Action.HOLD:
                is_held = control.is_held(snapshot.time) if snapshot else False
                return {"type": "release"} if is_held else {"type": "hold", "seconds": None}
            case Action.VIEW:
                views = list(View)
                return {"type": "view", "view": views[(views.index(view) + 1) % len(views)].value}
            case Action.RECORD:
                return {"type": "record", "on": not control.is_recording}
            case Action.SURER | Action.LESS_SURE:
                step = SENSITIVITY_STEP if action is Action.SURER else -SENSITIVITY_STEP
                return {"type": "sensitivity", "score": round(min(max(control.sensitivity + step, 0.0), 1.0), 1)}
            case Action.SOUND_EARLIER | Action.SOUND_LATER:
                step_ms = LAG_STEP_MS if action is Action.SOUND_LATER else -LAG_STEP_MS
                return {"type": "lag", "milliseconds": _lag_ms(snapshot, control) + step_ms}
            case Action.ESTIMATE_LAG:
                return {"type": "lag", "milliseconds": None}
            case Action.RESET:
                return {"type": "reset"}
        return None


def _lag_ms(snapshot: Snapshot | None, control: ControlState) -> float:
    """The lag in force, in whole steps within what is compared."""
    set_ms = control.lag_ms if control.lag_ms is not None else snapshot.lag.milliseconds if snapshot else 0.0
    steps = round(set_ms / LAG_STEP_MS) if math.isfinite(set_ms) else 0
    return min(max(steps * LAG_STEP_MS, LAG_STEP_MS - LONGEST_LAG_MS), LONGEST_LAG_MS - LAG_STEP_MS)


class Window:
    """An OpenCV window that opens with the first frame. ``notify`` receives the line about a missing display."""

    def __init__(self, title: str, notify: Callable[[str], None], remembered: Path | None = None) -> None:
        """``remembered``: file that keeps the window's place and size from one run to the next."""
        self._title = title
        self._notify = notify
        self._remembered = remembered
        self._wanted: Place | None = None
        self._place: Place | None = None
        self._frame = (0, 0)
        self._polls = 0
        self._is_open = False
        self._display = Display.connect()
        self._can_open = self._display is not None
        if not self._can_open:
            notify(NOTICE)

    @property
    def is_shown(self) -> bool:
        """Whether frames can be shown: False without a display."""
        return self._can_open

    def show(self, image: Image) -> None:
        """Show an image, from the next ``keys`` on; nothing without a display or when the window was closed."""
        if not self._is_usable():
            return
        if not self._is_open:
            # OpenCV's wheel ships Qt without fonts, of which Qt complains at length; no text is drawn with them.
            os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")
            cv2.namedWindow(self._title, cv2.WINDOW_NORMAL | cv2.WINDOW_GUI_NORMAL | cv2.WINDOW_KEEPRATIO)
            self._wanted = _read_place(self._remembered)
            self._open_at(self._wanted, image)
        elif self._was_closed():
            return
        cv2.imshow(self._title, image)

    def keys(self) -> list[KeyPress]:
        """The keys pressed since the last call; closing the window is QUIT.

        Call it often: it keeps the window alive. Takes a few milliseconds after a new frame.
        """
        if not self._is_open or not self._is_usable():
            return []
        key = key_press(cv2.pollKey(), has_capitals=self._display is not None and self._display.has_capitals())
        if self._was_closed():
            return [KeyPress(Action.QUIT)]
        self._follow_place()
        return [key] if key else []

    def close(self) -> None:
        _write_place(self._remembered, self._place)
        if self._is_open and self._is_usable():
            cv2.destroyAllWindows()
            self._is_open = False
        if self._display is not None:
            self._display.close()
            self._display = None

    def _open_at(self, place: Place | None, image: Image) -> None:
        height, width = image.shape[:2]
        cv2.resizeWindow(self._title, *(place[2:] if place is not None else (width, height)))
        if place is not None:
            cv2.moveWindow(self._title, *place[:2])
        self._is_open = True

    def _follow_place(self) -> None:
        """Look now and then where the window is. A title bar, known from the first look, does not count."""
        self._polls += 1
        if self._polls % POLLS_A_LOOK or (found := _place_of(self._title)) is None:
            return
        if self._place is None and self._wanted is not None:
            shift = (found[0] - self._wanted[0], found[1] - self._wanted[1])
            self._frame = shift if max(map(abs, shift)) <= LARGEST_FRAME else (0, 0)
        self._place = (found[0] - self._frame[0], found[1] - self._frame[1], *found[2:])

    def _is_usable(self) -> bool:
        """Whether OpenCV may be called: when the display is gone, Qt would end the process."""
        if self._can_open and self._display is not None and self._display.is_lost():
            self._can_open = self._is_open = False
            logger.warning("display lost")
            self._notify(LOST)
        return self._can_open

    def _was_closed(self) -> bool:
        return cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1


def _place_of(title: str) -> Place | None:
    """Where a window is; None while the system has not placed it."""
    x, y, width, height = cv2.getWindowImageRect(title)
    return (x, y, width, height) if width >= SMALLEST_SIDE and height >= SMALLEST_SIDE else None


def _read_place(path: Path | None) -> Place | None:
    """The place that an earlier run left; None without one, or when it is damaged."""
    try:
        x, y, width, height = (int(value) for value in json.loads(path.read_text())) if path is not None else (0,) * 4
    except (OSError, ValueError, TypeError):
        return None
    is_sound = all(SMALLEST_SIDE <= side <= FURTHEST for side in (width, height)) and max(abs(x), abs(y)) <= FURTHEST
    return (x, y, width, height) if is_sound else None


def _write_place(path: Path | None, place: Place | None) -> None:
    if path is None or place is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(place))
    except OSError as error:
        logger.info("the window's place is not remembered: %s", error)


def key_press(code: int, *, has_capitals: bool = False) -> KeyPress | None:
    """The meaning of an OpenCV key code, None without a key. Letters count in either case.

    ``has_capitals``: whether letters are typed as capitals, which OpenCV's Qt does not report.
    """
    if code < 0:
        return None
    character = chr(code & 0xFF)
    if code & 0xFF00 and character not in (ENTER, ESCAPE, BACKSPACE):
        # Arrows, Shift and function keys, whose last byte is that of some letter.
        return KeyPress(Action.OTHER)
    if has_capitals and character.isascii():
        character = character.upper()
    if character.isdecimal() and character != "0":
        return KeyPress(Action.PICK, int(character), character)
    return KeyPress(KEYS.get(character.lower(), Action.OTHER), 0, character)


SHIFT, CAPS_LOCK = 1, 2
"""Bits of Xlib's modifier mask: ShiftMask and LockMask."""


class Display:
    """A connection to the display that shows whether it is still there; on Linux to the X server, elsewhere none.

    OpenCV's Qt has only the plugin for X11; under Wayland it goes through Xwayland, which sets DISPLAY too.
    """

    def __init__(self, x11: ctypes.CDLL | None, connection: int | None) -> None:
        self._x11, self._connection = x11, connection
        self._poll = None
        if x11 is not None:
            self._poll = select.poll()
            self._poll.register(x11.XConnectionNumber(connection), LOST_EVENTS)

    @classmethod
    def connect(cls) -> Display | None:
        """None when no window can be opened. To be asked before OpenCV opens one: Qt would end the process."""
        if sys.platform != "linux":
            return cls(None, None)
        library = ctypes.util.find_library("X11") if os.environ.get("DISPLAY") else None
        if library is None:
            return None
        x11 = ctypes.CDLL(library)
        x11.XOpenDisplay.restype = ctypes.c_void_p
        x11.XOpenDisplay.argtypes = [ctypes.c_char_p]
        x11.XConnectionNumber.argtypes = x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
        x11.XDefaultRootWindow.argtypes, x11.XDefaultRootWindow.restype = [ctypes.c_void_p], ctypes.c_ulong
        x11.XQueryPointer.argtypes = [ctypes.c_void_p, ctypes.c_ulong, *7 * [ctypes.c_void_p]]
        connection = x11.XOpenDisplay(None)
        return cls(x11, connection) if connection else None

    def is_lost(self) -> bool:
        """Whether the X server has ended, or the connection to it has."""
        return self._poll is not None and bool(self._poll.poll(0))

    def has_capitals(self) -> bool:
        """Whether a letter typed now is a capital: Shift is down, or Caps Lock is on."""
        if self._x11 is None or self.is_lost():
            return False
        modifiers = ctypes.c_uint()
        unused = (ctypes.byref(ctypes.c_ulong()) for _ in range(6))  # windows and places of the pointer
        root = self._x11.XDefaultRootWindow(self._connection)
        self._x11.XQueryPointer(self._connection, root, *unused, ctypes.byref(modifiers))
        return bool(modifiers.value & SHIFT) != bool(modifiers.value & CAPS_LOCK)

    def close(self) -> None:
        if self._x11 is not None and not self.is_lost():  # Xlib would end the process, too
            self._x11.XCloseDisplay(self._connection)
        self._poll = self._x11 = None


def has_display() -> bool:
    """Whether a window can be opened."""
    display = Display.connect()
    if display is not None:
        display.close()
    return display is not None
