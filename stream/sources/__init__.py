"""Where pictures and sound come from: ``--video`` and ``--audio`` opened as one recording or one live source."""

from __future__ import annotations

import re
from pathlib import Path

# First of all: PyAV and OpenCV each bring a libxcb, and OpenCV's window hangs when PyAV's was loaded before it.
import cv2 as _cv2  # noqa: F401
from speakerlight.core.errors import InputError
from speakerlight.sources.camera import CameraSource
from speakerlight.sources.demo import DemoReader
from speakerlight.sources.files import FileReader
from speakerlight.sources.joined import JoinedSource
from speakerlight.sources.merged import MergedReader, VideoReader
from speakerlight.sources.microphone import MicrophoneSource
from speakerlight.sources.network import NetworkSource
from speakerlight.sources.pacing import PacedSource
from speakerlight.sources.screen import ScreenSource, parse_screen
from speakerlight.sources.source import LiveSource, MediaReader, SourceState, due

__all__ = ["LiveSource", "MediaReader", "SourceState", "due", "is_demo", "is_recorded", "open_live", "open_reader"]

NO_SOUND = "none"


def open_reader(video: str, audio: str | None) -> MediaReader:
    """``--video`` and ``--audio`` as one recording, for ``--fast``. Raises InputError when one of them is live."""
    if not is_recorded(video):
        raise InputError(f"{video}: --fast is for files and demo; leave it out for what is live")
    if audio is None:
        return DemoReader(video) if is_demo(video) else FileReader(Path(video))
    pictures = _video(video)
    if audio == NO_SOUND:
        return pictures
    try:
        if not Path(audio).exists():
            raise InputError(
                f"{audio}: no such file, and --fast hears no microphone or stream; leave --fast out for those"
            )
        return MergedReader(pictures, FileReader(Path(audio), video=False))
    except InputError:
        pictures.close()
        raise


def open_live(video: str, audio: str | None) -> LiveSource:
    """``--video`` and ``--audio`` as one live source; recordings are played in real time. Raises InputError.

    Without ``audio`` the video's own sound is used if it has any, else the default microphone; a recording without
    sound stays without.
    """
    if is_recorded(video) and (audio is None or audio == NO_SOUND or Path(audio).exists()):
        return PacedSource(open_reader(video, audio))
    pictures = _live_video(video, with_sound=audio is None)
    if pictures.has_audio or audio == NO_SOUND:
        return pictures
    try:
        return JoinedSource(pictures, _live_audio(audio))
    except InputError:
        pictures.stop()
        raise


def _live_video(spec: str, *, with_sound: bool) -> LiveSource:
    if spec.isdecimal():
        return CameraSource(int(spec))
    if _is_screen(spec):
        return ScreenSource(parse_screen(spec))
    if _is_url(spec):
        source = NetworkSource(spec, audio=with_sound)
        if source.has_video:
            return source
        source.stop()
        raise InputError(f"{spec}: the stream has no picture; give it as --audio")
    return PacedSource(_video(spec))


def _live_audio(spec: str | None) -> LiveSource:
    if spec is None:
        return MicrophoneSource()
    if _is_url(spec):
        return NetworkSource(spec, video=False)
    if Path(spec).exists():
        return PacedSource(FileReader(Path(spec), video=False))
    return MicrophoneSource(int(spec) if spec.isdecimal() else spec)


def _video(spec: str) -> MediaReader:
    return VideoReader(DemoReader(spec)) if is_demo(spec) else FileReader(Path(spec), audio=False)


def is_recorded(spec: str) -> bool:
    """Whether ``spec`` is a file or the demo: what ``--fast`` can read."""
    return not (spec.isdecimal() or _is_screen(spec) or _is_url(spec))


def is_demo(spec: str) -> bool:
    """Whether ``spec`` is ``demo`` or ``demo:…``."""
    return spec == "demo" or spec.startswith("demo:")


def _is_screen(spec: str) -> bool:
    return spec == "screen" or spec.startswith("screen:")


def _is_url(spec: str) -> bool:
    return re.match(r"[a-z][a-z0-9+.-]*://", spec, re.IGNORECASE) is not None
