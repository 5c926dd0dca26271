"""The window: keys, what they set, and a run that goes on where there is no display."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from speakerlight.window import NOTICE, Action, Command, Controls, command_of

from tests.stream.outputs.made import snapshot

RUN = """
import sys, time
import numpy as np
from speakerlight.window import Window
window = Window("Speakerlight test", lambda line: print(line, flush=True))
print("shown" if window.is_shown else "headless", flush=True)
ends = time.monotonic() + float(sys.argv[1])
pictures = 0
while time.monotonic() < ends:
    if pictures < 50:
        window.show(np.full((180, 320, 3), 90, np.uint8))
    for command in window.commands():
        print(command.action, command.number, flush=True)
        if command.action == "quit":
            ends = 0
    pictures += 1
    if pictures == 50 and window.is_shown:
        print("open", flush=True)
    time.sleep(0.01)
window.close()
print("ended", flush=True)
"""


def test_keys_are_commands() -> None:
    assert command_of(ord("q")) == command_of(ord("Q")) == Command(Action.QUIT)
    assert command_of(ord("h")) == Command(Action.HIDE)
    assert command_of(ord("p")) == Command(Action.PIN)
    assert [command_of(ord(str(n))) for n in range(1, 10)] == [Command(Action.PICK, n) for n in range(1, 10)]
    assert [command_of(key) for key in (-1, ord("0"), ord("x"), 27)] == [None] * 4


def test_h_hides_and_shows() -> None:
    hidden = Controls().after(Command(Action.HIDE), None)
    assert hidden.is_hidden
    assert not hidden.after(Command(Action.HIDE), None).is_hidden


def test_p_pins_the_primary_speaker_and_unpins() -> None:
    pinned = Controls().after(Command(Action.PIN), snapshot(0.0, [2], people=(2, 5)))
    assert pinned.pinned == 2
    assert pinned.after(Command(Action.PIN), None) == Controls()


def test_p_pins_nobody_in_silence() -> None:
    assert Controls().after(Command(Action.PIN), snapshot(0.0)).pinned is None


def test_a_digit_picks_by_order_of_id_and_p_pins_who_is_picked() -> None:
    people = snapshot(0.0, [2], people=(7, 2, 5))
    picked = Controls().after(Command(Action.PICK, 3), people)
    assert (picked.picked, picked.pinned) == (7, None)
    pinned = picked.after(Command(Action.PIN), people)
    assert pinned.pinned == 7
    assert pinned.after(Command(Action.PICK, 1), people).pinned == 2
    assert picked.after(Command(Action.PICK, 9), people) == picked, "there is no ninth"


def run(display: str | None, seconds: float) -> subprocess.Popen[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    if display is not None:
        environment["DISPLAY"] = display
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(seconds)], env=environment, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a display")
@pytest.mark.parametrize("display", [None, "", ":4711", "nonsense"])
def test_without_a_display_the_run_says_so_once_and_goes_on(display: str | None) -> None:
    with run(display, 0.1) as process:
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert out.splitlines() == [NOTICE, "headless", "ended"]


@pytest.fixture
def xvfb() -> Iterator[str]:
    if shutil.which("Xvfb") is None:
        pytest.skip("needs Debian's xvfb")
    reader, writer = os.pipe()
    command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", "640x480x24", "-nolisten", "tcp", "-noreset"]
    with subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL) as server:
        os.close(writer)
        with os.fdopen(reader) as pipe:
            number = pipe.readline().strip()
        try:
            yield f":{number}"
        finally:
            server.terminate()


class Keyboard:
    """Types on an X display through its XTEST extension."""

    def __init__(self, display: str) -> None:
        x11, xtst = ctypes.util.find_library("X11"), ctypes.util.find_library("Xtst")
        if not x11 or not xtst:
            pytest.skip("needs Debian's libxtst6")
        self._x11, self._xtst = ctypes.CDLL(x11), ctypes.CDLL(xtst)
        self._x11.XOpenDisplay.restype = ctypes.c_void_p
        self._display = ctypes.c_void_p(self._x11.XOpenDisplay(display.encode()))

    def type(self, key: str) -> None:
        code = self._x11.XKeysymToKeycode(self._display, ctypes.c_ulong(ord(key)))
        self._xtst.XTestFakeMotionEvent(self._display, -1, 100, 100, ctypes.c_ulong(0))
        for down in (1, 0):
            self._xtst.XTestFakeKeyEvent(self._display, code, down, ctypes.c_ulong(0))
        self._x11.XFlush(self._display)

    def close(self) -> None:
        self._x11.XCloseDisplay(self._display)


def test_on_a_display_keys_are_taken_and_q_ends(xvfb: str) -> None:
    keyboard = Keyboard(xvfb)
    with run(xvfb, 20) as process:
        assert process.stdout
        assert process.stdout.readline() == "shown\n"
        assert process.stdout.readline() == "open\n"
        for key in "h3pq":
            keyboard.type(key)
            time.sleep(0.1)
        out, _ = process.communicate(timeout=25)
    keyboard.close()
    assert process.returncode == 0
    assert out.splitlines() == ["hide 0", "pick 3", "pin 0", "quit 0", "ended"]
