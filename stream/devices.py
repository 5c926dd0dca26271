"""Cameras and microphones of this machine, as ``--list-devices`` prints them."""

from __future__ import annotations

import sys
from pathlib import Path

from speakerlight.core.errors import InputError
from speakerlight.sources.microphone import portaudio

LINUX_CAMERAS = Path("/sys/class/video4linux")


def list_devices() -> str:
    """The listing as text. Where nothing is found or a library is missing, a line reports it."""
    return "\n".join(["Cameras (--video):", *_lines(cameras()), "Microphones (--audio):", *_lines(_microphone_names())])


def cameras() -> list[str]:
    """``index: name`` of every camera that the system lists. Opens none."""
    if sys.platform.startswith("linux"):
        return _linux_cameras()
    import av.device
    import av.error

    try:
        found = av.device.enumerate_input_devices("avfoundation" if sys.platform == "darwin" else "dshow")
    except (av.error.FFmpegError, OSError, ValueError):
        return []
    names = [device.description or device.name for device in found if "video" in device.media_types]
    return [f"{index}: {name}" for index, name in enumerate(names) if not name.startswith("Capture screen")]


def microphones() -> list[str]:
    """``index: name (channels, rate)`` of every audio input. Raises InputError without PortAudio."""
    return [
        f"{device['index']}: {device['name']} ({device['max_input_channels']} channels, "
        f"{device['default_samplerate']:.0f} Hz)"
        for device in portaudio().query_devices()
        if device["max_input_channels"] > 0
    ]


def _linux_cameras() -> list[str]:
    """A camera has several nodes; the one that captures has index 0."""
    nodes = sorted(LINUX_CAMERAS.glob("video*"), key=lambda node: int(node.name.removeprefix("video")))
    return [
        f"{node.name.removeprefix('video')}: {(node / 'name').read_text().strip()}"
        for node in nodes
        if (node / "index").read_text().strip() == "0"
    ]


def _microphone_names() -> list[str]:
    try:
        return microphones()
    except InputError as error:
        return [str(error)]


def _lines(names: list[str]) -> list[str]:
    return [f"  {name}" for name in names] or ["  none found"]
