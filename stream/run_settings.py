"""What a run is asked to do: one frozen value, checked when it is made."""

from __future__ import annotations

import math
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

LAG_LIMIT_MS = 600.0
"""The scorer compares sound up to 15 ticks of 40 ms from the picture."""


@dataclass(frozen=True)
class RunSettings:
    """The command line as values. Raises InputError with one line when they do not go together.

    ``video``, ``audio``: as ``--video`` and ``--audio`` are written; None: not asked for. ``lag_ms`` None: estimated.
    ``serve`` without ``video``: for browsers alone.
    """

    video: str | None = None
    audio: str | None = None
    model: str = "compact"
    device: str = "auto"
    fast: bool = False
    duration_seconds: float | None = None
    window: bool = True
    output: Path | None = None
    events: str | None = None
    rttm: Path | None = None
    plot: Path | None = None
    save_faces: Path | None = None
    lag_ms: float | None = None
    max_faces: int = 25
    people: bool = True
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
            raise InputError("--model expert: give the path of lipsync_expert.pth instead; the README says where it is")
        if self.duration_seconds is not None and not 0 < self.duration_seconds < math.inf:
            raise InputError(f"--duration {self.duration_seconds:g}: give seconds above 0")
        if self.lag_ms is not None and not -LAG_LIMIT_MS <= self.lag_ms <= LAG_LIMIT_MS:
            raise InputError(f"--lag {self.lag_ms:g}: give auto, or {-LAG_LIMIT_MS:g} to {LAG_LIMIT_MS:g} milliseconds")
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
        self._check_outputs_differ()

    def _check_serving(self) -> None:
        if self.fast:
            raise InputError("--serve: whoever watches does so in real time; leave --fast out")
        local: dict[str, object] = {"--audio": self.audio, "--events": self.events, **dict(self.output_paths())}
        local |= {"--virtual-camera": self.virtual_camera or None, "--obs": self.obs, "--osc": self.osc}
        given = [option for option, value in local.items() if value is not None]
        if self.video is None and given:
            raise InputError(f"{given[0]}: with --serve this is for a run on this machine; name its --video too")

    def _check_outputs_differ(self) -> None:
        taken: dict[tuple[int, int] | Path, str] = {}
        for option, path in self.output_paths():
            place = _identity(path)
            if place in taken:
                raise InputError(f"{option} {path}: {taken[place]} is written there too; give each a name of its own")
            if place is not None:
                taken[place] = option

    @property
    def inputs(self) -> list[str]:
        """Everything that the run reads, none of which an output may write over."""
        server_files = (self.serve.cert, self.serve.key) if self.serve else ()
        return [str(name) for name in (self.video, self.audio, self.model, *server_files) if name is not None]

    def output_paths(self) -> Iterator[tuple[str, Path]]:
        """Each option that writes files, with its path."""
        paths = {"--output": self.output, "--rttm": self.rttm, "--plot": self.plot, "--save-faces": self.save_faces}
        if self.events is not None and self.events != STDOUT:
            paths["--events"] = Path(self.events)
        return ((option, path) for option, path in paths.items() if path is not None)


def _identity(path: Path) -> tuple[int, int] | Path | None:
    """What two paths to one file have in common, hard links included; None for a device, which may be written twice."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return path.resolve()
    return None if stat.S_ISCHR(found.st_mode) else (found.st_dev, found.st_ino)
