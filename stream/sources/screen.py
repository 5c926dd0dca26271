"""A region of the desktop as a camera: X11 on Linux, AVFoundation on macOS, GDI on Windows, all through FFmpeg."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass

import av
import av.error
from av.container import InputContainer

from core.errors import InputError
from core.media import Frame, Image
from core.timebase import TICK_RATE
from stream.clock import SessionClock
from stream.rings import FrameRing
from stream.sources.decode import PictureMaker, reason
from stream.sources.source import ThreadedSource

FRAMES_WAITING = 4


@dataclass(frozen=True)
class Region:
    """Pixels of the desktop from its top left corner."""

    x: int
    y: int
    width: int
    height: int


def parse_screen(spec: str) -> Region | None:
    """``screen`` is the whole desktop (None), ``screen:X,Y,W,H`` a region. Raises InputError."""
    if spec == "screen":
        return None
    match = re.fullmatch(r"screen:(\d+),(\d+),(\d+),(\d+)", spec)
    if not match or int(match[3]) == 0 or int(match[4]) == 0:
        raise InputError(f"{spec}: write screen or screen:X,Y,W,H, whole pixels, such as screen:100,80,1280,720")
    return Region(*map(int, match.groups()))


class ScreenSource(ThreadedSource):
    """The desktop at the tick rate. A frame's time is when it was grabbed. Raises InputError where there is no
    screen."""

    def __init__(self, region: Region | None) -> None:
        super().__init__("screen", FrameRing(FRAMES_WAITING), has_audio=False)
        self._region = region
        self._container: InputContainer | None = _opened(region)

    def stop(self) -> None:
        super().stop()
        if self._thread is None and self._container is not None:
            self._container.close()

    def _capture(self, clock: SessionClock) -> None:
        pictures = PictureMaker()
        while self._container is not None:
            try:
                lost = self._grab(self._container, pictures, clock)
            finally:
                self._container.close()
            if self._stopping.is_set():
                return
            self._container = self._reopened(lambda: _opened(self._region), f"screen: {lost}")

    def _grab(self, container: InputContainer, pictures: PictureMaker, clock: SessionClock) -> str:
        assert self.frames is not None
        try:
            for packet in container.demux(video=0):
                grabbed = clock.now()
                if self._stopping.is_set():
                    break
                for frame in packet.decode():
                    image = pictures.make(frame)
                    self.frames.push(
                        Frame(grabbed, _cropped(image, self._region) if sys.platform == "darwin" else image)
                    )
        except av.error.FFmpegError as error:
            return f"the picture is lost ({reason(error)})"
        return "the picture ended"


def _opened(region: Region | None) -> InputContainer:
    name, grabber, options = _grabber(region)
    try:
        return av.open(name, format=grabber, options={"framerate": str(TICK_RATE), **options})
    except (av.error.FFmpegError, OSError, ValueError) as error:
        what = "the screen" if region is None else "that region; it must lie inside the screen"
        raise InputError(f"screen: cannot capture {what} ({reason(error)})") from None


def _grabber(region: Region | None) -> tuple[str, str, dict[str, str]]:
    """Name, FFmpeg device and options for this system."""
    size = {} if region is None else {"video_size": f"{region.width}x{region.height}"}
    if sys.platform == "darwin":
        return "Capture screen 0:none", "avfoundation", {"pixel_format": "bgr0", "capture_cursor": "1"}
    if sys.platform == "win32":
        corner = {} if region is None else {"offset_x": str(region.x), "offset_y": str(region.y)}
        return "desktop", "gdigrab", size | corner
    display = os.environ.get("DISPLAY")
    if os.environ.get("XDG_SESSION_TYPE") == "wayland" or (not display and os.environ.get("WAYLAND_DISPLAY")):
        raise InputError("screen: Wayland lets no program capture the screen this way; log in to an X11 session")
    if not display:
        raise InputError("screen: there is no display here (DISPLAY is not set); try --video demo")
    return display if region is None else f"{display}+{region.x},{region.y}", "x11grab", size


def _cropped(image: Image, region: Region | None) -> Image:
    """AVFoundation gives the whole screen only."""
    if region is None:
        return image
    return image[region.y : region.y + region.height, region.x : region.x + region.width].copy()
