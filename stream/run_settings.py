"""Run settings: the command line as one frozen value, checked when it is made."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from speakerlight.core.decision.director import Preset
from speakerlight.core.errors import InputError
from speakerlight.core.framing import View
from speakerlight.outputs.eventlog import STDOUT
from speakerlight.server.serve_settings import ServeSettings

DEVICES = ("auto", "cpu", "cuda", "mps")

LAG_LIMIT_MS = 60_000.0
"""Largest lag in either direction: what the embeddings of a minute take in memory. Up to 600 ms are found without."""


@dataclass(frozen=True)
class RunSettings:
    """What a session is asked to do; each field is the command-line option of its name.

    ``video``, ``audio``: as ``--video`` and ``--audio`` are written; None: the camera, and the video's own audio or the
    default microphone. ``fast``: as fast as possible instead of in real time, for recordings and the demo.
    ``duration_seconds`` None: until the source ends. ``window``: shown in live runs from the main thread. ``events``: a
    file's name or ``-`` for stdout. ``lag_ms``: how much later the audio comes than the video; None: estimated.
    ``audio_track``, ``audio_channel``: counted from 1; None: chosen by what they carry. ``serve`` without ``video``:
    browsers alone. Raises InputError with one line when values do not go together.
    """

    video: str | None = None
    audio: str | None = None
    audio_track: int | None = None
    audio_channel: int | None = None
    model: str = "compact"
    device: str = "auto"
    fast: bool = False
    duration_seconds: float | None = None
    window: bool = True
    output: Path | None = None
    events: str | None = None
    rttm: Path | None = None
    plot: Path | None = None
    exports: tuple[Path, ...] = ()
    save_faces: Path | None = None
    lag_ms: float | None = None
    max_faces: int = 25
    people: bool = True
    people_file: Path | None = None
    view: View = View.BOXES
    virtual_camera: bool = False
    obs: str | None = None
    obs_scenes: Path | None = None
    osc: str | None = None
    director: Preset = Preset.NORMAL
    serve: ServeSettings | None = None

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise InputError(f"--device {self.device}: use one of {', '.join(DEVICES)}")
        if self.model == "expert":
            raise InputError("--model expert: give the path of lipsync_expert.pth instead; the README describes it")
        if self.duration_seconds is not None and not 0 < self.duration_seconds < math.inf:
            raise InputError(f"--duration {self.duration_seconds:g}: give seconds above 0")
        if self.lag_ms is not None and not -LAG_LIMIT_MS <= self.lag_ms <= LAG_LIMIT_MS:
            raise InputError(
                f"--lag {self.lag_ms:g}: give auto, or {-LAG_LIMIT_MS:.0f} to {LAG_LIMIT_MS:.0f} milliseconds"
            )
        for option, number in (("--audio-track", self.audio_track), ("--audio-channel", self.audio_channel)):
            if number is not None and number < 1:
                raise InputError(f"{option} {number}: tracks and channels are counted from 1")
        if self.max_faces < 1:
            raise InputError(f"--max-faces {self.max_faces}: give 1 or more")
        if self.fast and self.video is None:
            raise InputError("--fast: name a file with --video, or use --video demo; a camera has only its own speed")
        live_only = {"--virtual-camera": self.virtual_camera, "--obs": self.obs, "--osc": self.osc}
        for option in (option for option, value in live_only.items() if self.fast and value):
            raise InputError(f"{option}: the other program runs in real time; leave --fast out")
        if (self.obs is None) != (self.obs_scenes is None):
            raise InputError("--obs and --obs-scenes: give both, the address of OBS and the file that names its scenes")
        if self.serve is not None:
            self._check_serving()
        if self.people_file is not None:
            _check_named("--people", self.people_file)
        self._check_outputs_differ()

    def _check_serving(self) -> None:
        if self.fast:
            raise InputError("--serve: browsers watch in real time; leave --fast out")
        if self.serve is not None and self.serve.recognizes and self.people_file is None:
            raise InputError("--recognize: name the file of enrolled people with --people FILE, too")
        local: dict[str, object] = {"--audio": self.audio, "--events": self.events, **dict(self.output_paths())}
        local |= {"--virtual-camera": self.virtual_camera or None, "--obs": self.obs, "--osc": self.osc}
        given = [option for option, value in local.items() if value is not None]
        if self.video is not None and self.serve is not None and self.serve.cluster is not None:
            raise InputError("--cluster: its hosts serve browsers alone; leave --video out")
        if self.video is None and given:
            raise InputError(f"{given[0]}: with --serve this is for a run on this machine; name its --video too")

    def _check_outputs_differ(self) -> None:
        option_of: dict[tuple[int, int] | Path, str] = {}
        for descriptor, stream in ((1, "--events -" if self.events == STDOUT else None), (2, "standard error")):
            redirected_to = _redirected_to(descriptor)
            if stream is not None and redirected_to is not None:
                option_of[redirected_to] = stream
        for option, path in self.output_paths():
            _check_named(option, path)
            place = _identity(path)
            if place in option_of:
                raise InputError(f"{option} {path}: {option_of[place]} is written there too; give each its own name")
            if place is not None:
                option_of[place] = option

    @property
    def inputs(self) -> list[str]:
        """Everything that the run reads, none of which an output may write over."""
        files = [self.people_file, self.obs_scenes]
        files += (self.serve.cert, self.serve.key) if self.serve else ()
        return [str(name) for name in (self.video, self.audio, self.model, *files) if name is not None]

    def output_paths(self) -> Iterator[tuple[str, Path]]:
        """Each option that writes files, with its path."""
        paths = [("--output", self.output), ("--rttm", self.rttm), ("--plot", self.plot)]
        paths += [("--save-faces", self.save_faces), *(("--export", path) for path in self.exports)]
        if self.events is not None and self.events != STDOUT:
            paths.append(("--events", Path(self.events)))
        return ((option, path) for option, path in paths if path is not None)


def _check_named(option: str, path: Path) -> None:
    if str(path) == STDOUT:
        raise InputError(f"{option} {path}: give the name of a file; only --events writes to standard output")


def _redirected_to(descriptor: int) -> tuple[int, int] | None:
    """The identity of the plain file that the caller redirected a standard stream to, if it did."""
    try:
        found = os.fstat(descriptor)
    except OSError:  # closed
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def _identity(path: Path) -> tuple[int, int] | Path | None:
    """What two paths to one file have in common, hard links included; None for a device, which may be written twice."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return path.resolve()
    return None if stat.S_ISCHR(found.st_mode) else (found.st_dev, found.st_ino)
