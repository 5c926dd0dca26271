"""The window: keys, what they set, and a run that goes on where there is no display."""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from speakerlight.core.decision.commands import NAME_LETTERS, ControlState
from speakerlight.core.framing import View
from speakerlight.window import HELP, KEYS, LOST, NOTICE, Action, KeyPress, Selection, Window, key_press
from tests.stream.outputs.made import snapshot

RUN = """
import sys, time
import numpy as np
from speakerlight.window import Window
window = Window("Speakerlight test", lambda line: print(line, flush=True))
print("shown" if window.is_shown else "headless", flush=True)
ends = time.monotonic() + float(sys.argv[1])
frames = 0
while time.monotonic() < ends:
    if frames < 50:
        window.show(np.full((180, 320, 3), 90, np.uint8))
    for key in window.keys():
        print(key.action, key.number, key.character, flush=True)
        if key.action == "quit":
            ends = 0
    frames += 1
    if frames == 50 and window.is_shown:
        print("open", flush=True)
    time.sleep(0.01)
window.close()
print("ended", flush=True)
"""


def test_every_key_has_a_meaning_and_stands_on_the_help_sheet() -> None:
    assert key_press(ord("q")) == KeyPress(Action.QUIT, 0, "q")
    assert key_press(ord("Q")) == KeyPress(Action.QUIT, 0, "Q")
    assert [key_press(ord(str(n))) for n in range(1, 10)] == [KeyPress(Action.PICK, n, str(n)) for n in range(1, 10)]
    assert key_press(-1) is None
    assert [key_press(code) for code in (ord("z"), 0xB2)] == [KeyPress(Action.OTHER, 0, each) for each in "z²"]
    assert [key_press(code) for code in (SHIFT_KEY, LEFT_KEY)] == [KeyPress(Action.OTHER)] * 2
    assert key_press(0xFF0D) == KeyPress(Action.OTHER, 0, "\r"), "Enter, as GTK has it"
    assert key_press(ord("p"), has_capitals=True) == KeyPress(Action.PIN, 0, "P")
    others = {Action.PICK, Action.OTHER}
    assert {press.action for key in KEYS if (press := key_press(ord(key)))} == set(Action) - others
    sheet = " ".join(key + " " + text for key, text in HELP)
    assert all((key if key != " " else "space") in sheet for key in KEYS)


def test_h_and_question_mark_hide_and_show_in_this_window_alone() -> None:
    for action, name in ((Action.HIDE, "is_hidden"), (Action.HELP, "is_help_shown")):
        selection, command = pressed(Selection(), action)
        assert getattr(selection, name) and command is None
        assert pressed(selection, action) == (Selection(), None)


def test_a_digit_picks_by_order_of_id_and_moves_the_pin() -> None:
    picked, command = pressed(Selection(), Action.PICK, 3)
    assert (picked.picked, command) == (7, None)
    assert pressed(picked, Action.PIN)[1] == {"type": "pin", "id": 7}
    assert pressed(picked, Action.PICK, 1, control=ControlState(pinned=7))[1] == {"type": "pin", "id": 2}
    assert pressed(picked, Action.PICK, 9) == (picked, None), "there is no ninth"
    assert picked.notices({}) == ["picked: 7"] and picked.notices({7: "Ada"}) == ["picked: Ada"]
    assert pressed(picked, Action.PICK, 3) == (Selection(), None), "the second time nobody is picked"


def test_a_name_is_typed_and_no_letter_of_it_is_a_command() -> None:
    selection, _ = pressed(Selection(), Action.PICK, 3)
    selection, command = pressed(selection, Action.NAME)
    for character in "q1x\b Adaé":
        assert command is None
        key = key_press(ord(character))
        assert key is not None
        selection, command = selection.after(key, None, ControlState(), View.BOXES)
    assert selection.notices({}) == ["name of 7: q1 Adaé_"]
    assert selection.after(KeyPress(Action.OTHER, 0, "\x1b"), None, ControlState(), View.BOXES)[1] is None
    done, command = selection.after(KeyPress(Action.OTHER, 0, "\r"), None, ControlState(), View.BOXES)
    assert (done, command) == (Selection(picked=7), {"type": "name", "id": 7, "name": "q1 Adaé"})
    long = replace(selection, typed=NAME_LETTERS * "a")
    assert long.after(KeyPress(Action.OTHER, 0, "a"), None, ControlState(), View.BOXES) == (long, None)


def test_the_place_of_the_picked_person_is_ignored_and_all_are_shown_again() -> None:
    picked, _ = pressed(Selection(), Action.PICK, 3)
    selection, command = pressed(picked, Action.IGNORE)
    face = next(face.box for face in snapshot(0.0, [2], people=(7, 2, 5)).faces if face.id == 7)
    assert selection == Selection() and command is not None
    ignored = ControlState().after(command, 0.0)
    assert ignored.ignored_regions[0].contains(face.centre) and ignored.ignored_regions[0].width > face.width
    assert pressed(Selection(), Action.IGNORE, control=ignored)[1] == {"type": "ignore", "region": None}
    assert pressed(Selection(), Action.IGNORE)[1] is None


@pytest.mark.parametrize(
    ("action", "control", "command"),
    [
        (Action.PIN, ControlState(), {"type": "pin", "id": 2}),
        (Action.PIN, ControlState(pinned=5), {"type": "pin", "id": None}),
        (Action.EXCLUDE, ControlState(), {"type": "exclude", "id": 2, "on": True}),
        (Action.EXCLUDE, ControlState(excluded=frozenset({2})), {"type": "exclude", "id": 2, "on": False}),
        (Action.HOLD, ControlState(), {"type": "hold", "seconds": None}),
        (Action.HOLD, ControlState(hold_until=1.0), {"type": "release"}),
        (Action.HOLD, ControlState(hold_until=0.0), {"type": "hold", "seconds": None}),
        (Action.VIEW, ControlState(), {"type": "view", "view": "speaker"}),
        (Action.RECORD, ControlState(), {"type": "record", "on": False}),
        (Action.SURER, ControlState(sensitivity=0.2), {"type": "sensitivity", "score": 0.3}),
        (Action.LESS_SURE, ControlState(sensitivity=0.05), {"type": "sensitivity", "score": 0.0}),
        (Action.SOUND_LATER, ControlState(), {"type": "lag", "milliseconds": 20.0}),
        (Action.SOUND_EARLIER, ControlState(lag_ms=33.0), {"type": "lag", "milliseconds": 20.0}),
        (Action.SOUND_LATER, ControlState(lag_ms=3000.0), {"type": "lag", "milliseconds": 3000.0}),
        (Action.ESTIMATE_LAG, ControlState(lag_ms=33.0), {"type": "lag", "milliseconds": None}),
        (Action.RESET, ControlState(), {"type": "reset"}),
        (Action.QUIT, ControlState(), None),
    ],
)
def test_a_key_gives_the_command(action: Action, control: ControlState, command: dict[str, object] | None) -> None:
    assert pressed(Selection(), action, control=control) == (Selection(), command)
    if command is not None:
        control.after(command, 0.0)


def test_in_silence_pin_and_exclude_have_no_target() -> None:
    for action in (Action.PIN, Action.EXCLUDE, Action.NAME):
        after = Selection().after(KeyPress(action), snapshot(0.0), ControlState(), View.BOXES)
        assert after == (Selection(), None)


def pressed(
    selection: Selection, action: Action, number: int = 0, control: ControlState | None = None
) -> tuple[Selection, dict[str, object] | None]:
    """Person 2 of 2, 5 and 7 speaks."""
    seen = snapshot(0.0, [2], people=(7, 2, 5))
    return selection.after(KeyPress(action, number), seen, control or ControlState(), View.BOXES)


def run(display: str | None, seconds: float) -> subprocess.Popen[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    if display is not None:
        environment["DISPLAY"] = display
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(seconds)], env=environment, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a display")
@pytest.mark.parametrize("display", [None, "", ":4711", "nonsense"])
def test_without_a_display_the_run_reports_it_once_and_continues(display: str | None) -> None:
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


SHIFT_KEY, LEFT_KEY = 0xFFE1, 0xFF51
"""X key symbols. OpenCV reports these codes as well; their last bytes are those of á and Q."""


class Keyboard:
    """Types on an X display through its XTEST extension."""

    def __init__(self, display: str) -> None:
        x11, xtst = ctypes.util.find_library("X11"), ctypes.util.find_library("Xtst")
        if not x11 or not xtst:
            pytest.skip("needs Debian's libxtst6")
        self._x11, self._xtst = ctypes.CDLL(x11), ctypes.CDLL(xtst)
        self._x11.XOpenDisplay.restype = ctypes.c_void_p
        self._display = ctypes.c_void_p(self._x11.XOpenDisplay(display.encode()))

    def type(self, *symbols: int) -> None:
        """Hold keys down in this order and let go of them in the other one, by their X key symbols."""
        self._xtst.XTestFakeMotionEvent(self._display, -1, 100, 100, ctypes.c_ulong(0))
        keys = [self._x11.XKeysymToKeycode(self._display, ctypes.c_ulong(symbol)) for symbol in symbols]
        for down, codes in ((1, keys), (0, keys[::-1])):
            for code in codes:
                self._xtst.XTestFakeKeyEvent(self._display, code, down, ctypes.c_ulong(0))
                self._x11.XFlush(self._display)
                time.sleep(0.25)  # OpenCV keeps the newest key alone: a busy machine must look in between

    def close(self) -> None:
        self._x11.XCloseDisplay(self._display)


def test_on_a_display_keys_are_read_and_q_ends(xvfb: str) -> None:
    keyboard = Keyboard(xvfb)
    with run(xvfb, 20) as process:
        assert process.stdout
        assert process.stdout.readline() == "shown\n"
        assert process.stdout.readline() == "open\n"
        for keys in ([ord("h")], [ord("3")], [ord("p")], [SHIFT_KEY, ord("a")], [LEFT_KEY], [ord("q")]):
            keyboard.type(*keys)
        out, _ = process.communicate(timeout=25)
    keyboard.close()
    assert process.returncode == 0
    # Shift and the left arrow are keys without a meaning.
    lines = [line for line in out.splitlines() if line != "other 0 "]
    assert lines == ["hide 0 h", "pick 3 3", "pin 0 p", "other 0 A", "quit 0 q", "ended"]


PLACED = """
import sys, time
from pathlib import Path
import cv2
import numpy as np
from speakerlight.window import Window
window = Window("Speakerlight test", print, Path(sys.argv[1]))
for k in range(60):
    window.show(np.full((180, 320, 3), 90, np.uint8))
    window.keys()
    time.sleep(0.01)
print(*cv2.getWindowImageRect("Speakerlight test"))
window.close()
"""


@pytest.mark.parametrize("left", ["[120, 90, 240, 135]", "[1, 2]", "nonsense", "[0, 0, 1e9, 5]"])
def test_the_window_is_where_it_was(xvfb: str, tmp_path: Path, left: str) -> None:
    path = tmp_path / "cache" / "window.json"
    path.parent.mkdir()
    path.write_text(left)
    places = []
    for _ in range(2):
        out = subprocess.run(
            [sys.executable, "-c", PLACED, str(path)],
            env=os.environ | {"DISPLAY": xvfb},
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout
        places.append([int(word) for word in out.split()])
        assert json.loads(path.read_text())[2:] == places[-1][2:]
    assert places[0] == places[1]
    assert places[0] == [120, 90, 240, 135] if left.startswith("[120") else places[0][2:] == [320, 180]


def test_a_display_that_goes_away_is_noticed_before_opencv_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("Xvfb") is None:
        pytest.skip("needs Debian's xvfb")
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "64x48x24", "-nolisten", "tcp", "-noreset"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        monkeypatch.setenv("DISPLAY", f":{server.stdout.readline().strip()}")
        for name in (
            "namedWindow",
            "resizeWindow",
            "imshow",
            "pollKey",
            "getWindowProperty",
            "destroyAllWindows",
            "getWindowImageRect",
        ):
            monkeypatch.setattr(cv2, name, lambda *_, name=name: pytest.fail(f"{name} ends the process"))
        lines: list[str] = []
        window = Window("test", lines.append)
        assert window.is_shown and lines == []
        window._is_open = True
        server.kill()
    for _ in range(2):
        window.show(np.zeros((48, 64, 3), np.uint8))
        assert window.keys() == []
    window.close()
    assert lines == [LOST] and not window.is_shown
