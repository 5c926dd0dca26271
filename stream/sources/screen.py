"""A region of the desktop as a camera: X11 on Linux, macOS, Windows, through mss.

Not through FFmpeg's x11grab, though PyAV carries it: the libxcb of PyAV's wheel and that of OpenCV's cannot live in one
process (the one that is loaded second crashes or hangs), and OpenCV's window needs its own.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from speakerlight.clock import SessionClock
from speakerlight.core.errors import InputError
from speakerlight.core.media import Frame, Image
from speakerlight.core.timebase import TICK_RATE
from speakerlight.rings import FrameRing
from speakerlight.sources.source import ThreadedSource

if TYPE_CHECKING:
    import mss

FRAMES_WAITING = 4


@dataclass(frozen=True)
class ScreenRegion:
    """Pixels of the desktop from its top left corner."""

    x: int
    y: int
    width: int
    height: int


def parse_screen(spec: str) -> ScreenRegion | None:
    """``screen`` is the whole desktop (None), ``screen:X,Y,W,H`` a region. Raises InputError."""
    if spec == "screen":
        return None
    match = re.fullmatch(r"screen:(\d+),(\d+),(\d+),(\d+)", spec)
    if not match or int(match[3]) == 0 or int(match[4]) == 0:
        raise InputError(f"{spec}: write screen or screen:X,Y,W,H, whole pixels, such as screen:100,80,1280,720")
    return ScreenRegion(*map(int, match.groups()))


class ScreenSource(ThreadedSource):
    """The desktop at the tick rate; a frame's time is when it was grabbed. InputError where there is no screen."""

    def __init__(self, region: ScreenRegion | None) -> None:
        with _opened() as grabber:
            _grabbed(grabber, region)
        super().__init__("screen", FrameRing(FRAMES_WAITING), has_audio=False)
        self._region = region

    def _capture(self, clock: SessionClock) -> None:
        found: bool | None = True
        while found and not self._stopping.is_set():
            try:
                self._grab(clock)
            except InputError as error:
                found = self._reopened(self._found_again, str(error))

    def _grab(self, clock: SessionClock) -> None:
        """Until stopped. Raises InputError when the screen is lost."""
        assert self.frames is not None
        with _opened() as grabber:
            moment = clock.now()
            while clock.wait_until(moment, self._stopping):
                grabbed = clock.now()
                self.frames.push(Frame(grabbed, _grabbed(grabber, self._region)))
                # A grab that was late is not made up for.
                moment = max(moment + 1 / TICK_RATE, grabbed)

    def _found_again(self) -> bool:
        with _opened() as grabber:
            _grabbed(grabber, self._region)
        return True


@contextmanager
def _opened() -> Iterator[mss.MSS]:
    """The system's screen, for use in one thread. Raises InputError."""
    if sys.platform.startswith("linux"):
        _check_display()
    import mss
    from mss.exception import ScreenShotError

    try:
        grabber = mss.MSS()
    except (ScreenShotError, OSError) as error:
        raise InputError(f"screen: cannot be captured ({_first_line(error)})") from None
    with grabber:
        yield grabber


def _grabbed(grabber: mss.MSS, region: ScreenRegion | None) -> Image:
    """Height × width × 3, BGR; pixels of the device, which on a Retina screen are twice the region's. InputError."""
    from mss.exception import ScreenShotError

    desktop = grabber.monitors[0]
    area = desktop if region is None else _area(region, desktop)
    try:
        shot = grabber.grab(area)
    except (ScreenShotError, OSError) as error:
        raise InputError(f"screen: cannot be captured ({_first_line(error)})") from None
    pixels = np.frombuffer(shot.bgra, np.uint8).reshape(shot.height, shot.width, 4)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2BGR), np.uint8)


def _area(region: ScreenRegion, desktop: dict[str, int]) -> dict[str, int]:
    width, height = desktop["width"], desktop["height"]
    if region.x + region.width > width or region.y + region.height > height:
        raise InputError(f"screen: the region must lie inside the screen, which is {width} × {height} pixels")
    corner = {"left": desktop["left"] + region.x, "top": desktop["top"] + region.y}
    return corner | {"width": region.width, "height": region.height}


def _check_display() -> None:
    display = os.environ.get("DISPLAY")
    if os.environ.get("XDG_SESSION_TYPE") == "wayland" or (not display and os.environ.get("WAYLAND_DISPLAY")):
        raise InputError("screen: Wayland lets no program capture the screen this way; log in to an X11 session")
    if not display:
        raise InputError("screen: there is no display here (DISPLAY is not set); try --video demo")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
