"""The window: shows pictures and takes keys, from the main thread only; without a display a run goes on without it."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

import cv2
from speakerlight.core.media import Image
from speakerlight.core.snapshot import Snapshot

NOTICE = "no display: running without a window"


class Action(StrEnum):
    QUIT = "quit"
    HIDE = "hide"
    PIN = "pin"
    PICK = "pick"


@dataclass(frozen=True)
class Command:
    """What a key asks for. ``number``: 1 … 9 for PICK, else 0."""

    action: Action
    number: int = 0


@dataclass(frozen=True)
class Controls:
    """What the keys have set. ``is_hidden``: show the plain picture; ``picked``, ``pinned``: ids of people."""

    is_hidden: bool = False
    picked: int | None = None
    pinned: int | None = None

    def after(self, command: Command, snapshot: Snapshot | None) -> Controls:
        """The controls after a command: h hides and shows, 1–9 picks, p pins (who is picked, or the primary) or unpins.

        Key n picks the n-th person in the picture in order of id. Who is picked while somebody is pinned takes the pin.
        """
        if command.action is Action.HIDE:
            return replace(self, is_hidden=not self.is_hidden)
        if command.action is Action.PICK:
            people = sorted(face.id for face in snapshot.faces) if snapshot else []
            if command.number > len(people):
                return self
            picked = people[command.number - 1]
            return replace(self, picked=picked, pinned=picked if self.pinned is not None else None)
        if command.action is Action.PIN:
            if self.pinned is not None:
                return replace(self, picked=None, pinned=None)
            return replace(self, pinned=self.picked or (snapshot.primary if snapshot else None))
        return self


class Window:
    """An OpenCV window that opens with the first picture. ``say`` takes the one line about a missing display."""

    def __init__(self, title: str, notify: Callable[[str], None]) -> None:
        self._title = title
        self._is_open = False
        self._can_open = has_display()
        if not self._can_open:
            notify(NOTICE)

    @property
    def is_shown(self) -> bool:
        """Whether pictures can be seen: False without a display."""
        return self._can_open

    def show(self, image: Image) -> None:
        """Show a picture, from the next ``commands`` on; nothing without a display or when the window was closed."""
        if not self._can_open:
            return
        if not self._is_open:
            # OpenCV's wheel ships Qt without fonts, of which Qt complains at length; no text is drawn with them.
            os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")
            cv2.namedWindow(self._title, cv2.WINDOW_NORMAL | cv2.WINDOW_GUI_NORMAL | cv2.WINDOW_KEEPRATIO)
            cv2.resizeWindow(self._title, image.shape[1], image.shape[0])
            self._is_open = True
        elif self._was_closed():
            return
        cv2.imshow(self._title, image)

    def commands(self) -> list[Command]:
        """What was typed since the last call; closing the window is QUIT.

        To be called often: it keeps the window alive. Takes a few milliseconds after a new picture.
        """
        if not self._is_open:
            return []
        command = command_of(cv2.pollKey())
        if self._was_closed():
            return [Command(Action.QUIT)]
        return [command] if command else []

    def close(self) -> None:
        if self._is_open:
            cv2.destroyAllWindows()
            self._is_open = False

    def _was_closed(self) -> bool:
        return cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1


def command_of(key: int) -> Command | None:
    """The command of an OpenCV key code, or None. q, h, p in either case, and 1 … 9."""
    character = chr(key & 0xFF).lower() if key >= 0 else ""
    if character.isdigit() and character != "0":
        return Command(Action.PICK, int(character))
    return {"q": Command(Action.QUIT), "h": Command(Action.HIDE), "p": Command(Action.PIN)}.get(character)


def has_display() -> bool:
    """Whether a window can be opened. Asked before OpenCV is: Qt ends the whole process where it finds no display."""
    if sys.platform != "linux":
        return True
    # OpenCV's Qt brings only the plugin for X11; under Wayland it goes through Xwayland, which sets DISPLAY too.
    return bool(os.environ.get("DISPLAY")) and _x_server_answers()


def _x_server_answers() -> bool:
    library = ctypes.util.find_library("X11")
    if library is None:
        return False
    x11 = ctypes.CDLL(library)
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XOpenDisplay.argtypes = [ctypes.c_char_p]
    x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    display = x11.XOpenDisplay(None)
    if display:
        x11.XCloseDisplay(display)
    return bool(display)
