"""Face videos: a video with audio of each face, for the time that the face is in view."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from speakerlight.core.errors import InputError
from speakerlight.core.geometry import Box
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.core.snapshot import Snapshot
from speakerlight.core.timebase import TICK_RATE
from speakerlight.outputs.audio_tape import AudioTape
from speakerlight.outputs.files import check_writable
from speakerlight.outputs.mp4 import Mp4Writer
from speakerlight.outputs.output import Output
from speakerlight.scaling import crop

SIZE = 224
"""Width and height in pixels: the usual input of models of faces and lips."""

EXPANSION = 1.6
"""Side of the crop in sides of the face's box (brows to chin): the whole head with some margin."""

SMOOTHING_SECONDS = 0.15
"""Time constant of the crop's position and size: it smooths detector noise and keeps a moving head in the middle."""

GONE_SECONDS = 2.0
"""The video of a face out of view for this long is closed; if its id comes back, a further part begins."""

FACE_FILE = re.compile(r"face-\d+(-part-\d+)?(-run-(?P<run>\d+))?(-.+)?\.mp4", re.IGNORECASE)


NAME_BYTES = 160
"""What a file name has of a person's name; file systems take 255 bytes in all."""


@dataclass
class _Track:
    writer: Mp4Writer
    path: Path
    box: Box
    seen: float


class FaceVideos(Output):
    """Writes ``face-ID.mp4`` into a folder, made with the first face. Only faces in view have an encoder open.

    A video that is closed when its person has a name gets that name: ``face-ID-NAME.mp4``. No existing file is
    overwritten: in a folder with face videos of earlier runs, the files of this run are named ``face-ID-run-2.mp4`` and
    so on. ``reserved``: paths that other outputs of this run will write.
    """

    option = "--save-faces"
    takes_frames = True

    def __init__(self, folder: Path, has_audio: bool = True, reserved: Iterable[Path] = ()) -> None:
        try:
            if folder.exists() and not folder.is_dir():
                raise InputError(f"{self.option} {folder}: this is a file; give the name of a folder")
            existing = next(each for each in (folder, *folder.absolute().parents) if each.exists())
        except OSError as error:
            raise InputError(f"{self.option} {folder}: cannot be written ({error.strerror})") from error
        try:
            check_writable(existing / f".{os.getpid()}.part", self.option)
        except InputError as error:
            line = f"{self.option} {folder}: no file can be written there; choose another place"
            raise InputError(line) from error
        self._folder = folder
        self._tape = AudioTape() if has_audio else None
        self._tracks: dict[int, _Track] = {}
        self._parts: dict[int, int] = {}
        self._reserved = {path.resolve() for path in reserved}
        self._run = 1
        self._names: Mapping[int, str] = {}

    def audio(self, chunk: AudioChunk) -> None:
        if self._tape is not None:
            self._tape.put(chunk)

    def frame(self, frame: Frame, snapshot: Snapshot | None) -> None:
        self._names = snapshot.names if snapshot else self._names
        for face in snapshot.faces if snapshot else ():
            self._show(face.id, face.box.expanded(EXPANSION), frame)
        for person in [person for person, track in self._tracks.items() if frame.time > track.seen + GONE_SECONDS]:
            self._end(person)

    def close(self) -> None:
        with ExitStack() as closing:  # closes them all even if one fails
            for person in self._tracks:
                closing.callback(self._end, person)

    def _show(self, person: int, box: Box, frame: Frame) -> None:
        track = self._tracks.get(person)
        if track is None:
            path = self._next_path(person)
            writer = Mp4Writer(path, (SIZE, SIZE), self._tape, frame.time, threads=1)
            track = self._tracks[person] = _Track(writer, path, _square(box), frame.time)
        track.box = _between(track.box, _square(box), 1 - math.exp(-(frame.time - track.seen) / SMOOTHING_SECONDS))
        track.seen = frame.time
        track.writer.frame(frame.time, crop(frame.image, track.box, (SIZE, SIZE)))

    def _next_path(self, person: int) -> Path:
        """An empty new file, which no other run can take for itself any more."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self._parts:
            self._run = _free_run(self._folder)
        part = self._parts[person] = self._parts.get(person, 0) + 1
        while True:
            path = self._folder / _file_name(person, part, self._run)
            if path.resolve() not in self._reserved:
                try:
                    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
                    return path
                except FileExistsError:  # a file of another run that began at the same time
                    pass
            self._run += 1

    def _end(self, person: int) -> None:
        track = self._tracks.pop(person)
        track.writer.close(until=track.seen + 1 / TICK_RATE)
        name = "-".join(re.findall(r"\w+", self._names.get(person, "")))
        name = os.fsencode(name)[:NAME_BYTES].decode(errors="ignore")
        named = track.path.with_name(f"{track.path.stem}-{name}.mp4")
        if name and not named.exists():
            track.path.rename(named)


def _file_name(person: int, part: int, run: int) -> str:
    return f"face-{person}{f'-part-{part}' if part > 1 else ''}{f'-run-{run}' if run > 1 else ''}.mp4"


def _free_run(folder: Path) -> int:
    """The number after that of the latest run whose face videos lie in ``folder``."""
    found = (FACE_FILE.fullmatch(path.name) for path in folder.iterdir())
    return max((int(match["run"] or 1) for match in found if match), default=0) + 1


def _square(box: Box) -> Box:
    side = max(box.width, box.height, 1.0)
    x, y = box.centre
    return Box(x - side / 2, y - side / 2, side, side)


def _between(first: Box, second: Box, share: float) -> Box:
    """The box that lies ``share`` of the way from the first to the second."""

    def mixed(a: float, b: float) -> float:
        return a + share * (b - a)

    return Box(
        mixed(first.x, second.x),
        mixed(first.y, second.y),
        mixed(first.width, second.width),
        mixed(first.height, second.height),
    )
