"""Sources: ``--video`` and ``--audio`` opened as one recording or one live source.

What reads with FFmpeg is imported when it is opened: the first overlay of a webcam does not wait for it.
"""

from __future__ import annotations

from pathlib import Path

# First of all: PyAV and OpenCV each bring a libxcb, and OpenCV's window hangs when PyAV's was loaded before it.
import cv2 as _cv2  # noqa: F401

from speakerlight.core.errors import InputError
from speakerlight.sources.addresses import is_device, is_pipe, is_stream, plain
from speakerlight.sources.camera import CameraSource
from speakerlight.sources.demo import DemoReader
from speakerlight.sources.joined import JoinedReader, JoinedSource, VideoReader
from speakerlight.sources.microphone import MicrophoneSource
from speakerlight.sources.pacing import PacedSource
from speakerlight.sources.screen import ScreenSource, parse_screen
from speakerlight.sources.source import AudioChoice, LiveSource, MediaReader, SourceOptions, SourceState, due

__all__ = [
    "AudioChoice",
    "LiveSource",
    "MediaReader",
    "SourceOptions",
    "SourceState",
    "due",
    "is_demo",
    "is_recorded",
    "open_live",
    "open_reader",
]

NO_AUDIO = "none"


def open_reader(video: str, audio: str | None, options: SourceOptions | None = None) -> MediaReader:
    """``--video`` and ``--audio`` as one recording, for ``--fast``. Raises InputError when one of them is live."""
    options = options or SourceOptions()
    video, audio = plain(video), None if audio is None else plain(audio)
    if not (is_recorded(video) or is_pipe(video)):
        raise InputError(f"{video}: --fast is for files and demo; leave it out for what is live")
    if audio is None:
        return DemoReader(video) if is_demo(video) else _file(video, options)
    frames = _video(video, options)
    if audio == NO_AUDIO:
        return frames
    try:
        if not (_is_file(audio) or is_pipe(audio)):
            raise InputError(
                f"{audio}: no such file, and --fast reads no microphone or stream; leave --fast out for those"
            )
        return JoinedReader(frames, _file(audio, options, video=False))
    except InputError:
        frames.close()
        raise


def open_live(video: str, audio: str | None, options: SourceOptions | None = None) -> LiveSource:
    """``--video`` and ``--audio`` as one live source; recordings are played in real time. Raises InputError.

    Without ``audio`` the video's own audio is used if it has any, else the default microphone; a recording without
    audio stays without.
    """
    options = options or SourceOptions()
    video, audio = plain(video), None if audio is None else plain(audio)
    if is_recorded(video) and (audio is None or audio == NO_AUDIO or (is_recorded(audio) and _is_file(audio))):
        return PacedSource(open_reader(video, audio, options))
    source = _live_video(video, options, with_audio=audio is None)
    if source.has_audio or audio == NO_AUDIO:
        return source
    try:
        return JoinedSource(source, _live_audio(audio, options))
    except InputError:
        source.stop()
        raise


def _live_video(spec: str, options: SourceOptions, *, with_audio: bool) -> LiveSource:
    if spec.isdecimal():
        return CameraSource(int(spec))
    if is_device(spec):
        return CameraSource(spec)
    if _is_screen(spec):
        return ScreenSource(parse_screen(spec))
    if is_stream(spec) or is_pipe(spec):
        source = _stream(spec, options, audio=with_audio)
        if source.has_video:
            return source
        source.stop()
        raise InputError(f"{spec}: the stream has no video; give it as --audio")
    return PacedSource(_video(spec, options))


def _live_audio(spec: str | None, options: SourceOptions) -> LiveSource:
    if spec is None:
        return MicrophoneSource(None, options)
    if is_stream(spec) or is_pipe(spec):
        return _stream(spec, options, video=False)
    if _is_file(spec):
        return PacedSource(_file(spec, options, video=False))
    return MicrophoneSource(int(spec) if spec.isdecimal() else spec, options)


def _stream(spec: str, options: SourceOptions, *, video: bool = True, audio: bool = True) -> LiveSource:
    from speakerlight.sources.network import NetworkSource

    return NetworkSource(spec, video=video, audio=audio, options=options)


def _video(spec: str, options: SourceOptions) -> MediaReader:
    return VideoReader(DemoReader(spec)) if is_demo(spec) else _file(spec, options, audio=False)


def _file(spec: str, options: SourceOptions, *, video: bool = True, audio: bool = True) -> MediaReader:
    if is_pipe(spec):
        from speakerlight.sources.pipes import PipeReader

        return PipeReader(spec, video=video, audio=audio, options=options)
    from speakerlight.sources.files import FileReader

    return FileReader(Path(spec), video=video, audio=audio, choice=options.choice, notify=options.notify)


def is_recorded(spec: str) -> bool:
    """Whether ``spec`` is a file or the demo: what ``--fast`` can read."""
    return not (spec.isdecimal() or _is_screen(spec) or is_stream(spec) or is_device(spec) or is_pipe(spec))


def is_demo(spec: str) -> bool:
    """Whether ``spec`` is ``demo`` or ``demo:…``."""
    return spec == "demo" or spec.startswith("demo:")


def _is_file(spec: str) -> bool:
    try:
        return Path(spec).exists()
    except (OSError, ValueError):  # a name that is too long, or has a zero byte
        return False


def _is_screen(spec: str) -> bool:
    return spec == "screen" or spec.startswith("screen:")
