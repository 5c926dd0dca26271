"""Recorder: the annotated video, which is what the window shows, with audio, as an MP4 file."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from speakerlight.core.errors import InputError
from speakerlight.core.media import AudioChunk, Frame, Image
from speakerlight.core.snapshot import Snapshot
from speakerlight.outputs.audio_tape import AudioTape
from speakerlight.outputs.files import Report, check_writable
from speakerlight.outputs.mp4 import FRAME_WAIT, Mp4Writer
from speakerlight.outputs.output import Output

logger = logging.getLogger(__name__)

Draw = Callable[[Frame, Snapshot | None], Image]
"""Makes the image to record from a frame and its snapshot; must leave the frame as it is."""


class Recorder(Output):
    """Records ``draw(frame, snapshot)`` at the frame's time: the file's clock is that of the events.

    While ``is_recording`` gives False, the file holds its last frame and is silent: its clock stays that of the events.

    It encodes in the caller's thread: lock-step in ``--fast``; wrap it in ``Background`` for a live run.
    """

    option = "--output"
    takes_frames = True

    def __init__(
        self,
        path: Path,
        draw: Draw,
        has_audio: bool = True,
        sources: Sequence[str] = (),
        stop: threading.Event | None = None,
        is_recording: Callable[[], bool] = lambda: True,
        frame_size: tuple[int, int] | None = None,
        report: Report = logger.warning,
    ) -> None:
        """``frame_size``: width and height of the frames that are to come, where known; audio that comes long before
        them is then recorded with a black image."""
        if path.suffix.lower() != ".mp4":
            raise InputError(f"{self.option} {path}: the recording is an MP4 file; give it a name that ends in .mp4")
        check_writable(path, self.option, sources)
        self._path = path
        self._draw = draw
        self._stop = stop
        self._report = report
        self._is_recording = is_recording
        self._frame_size = frame_size
        self._tape = AudioTape() if has_audio else None
        self._writer: Mp4Writer | None = None

    def audio(self, chunk: AudioChunk) -> None:
        if self._tape is not None:
            kept = chunk if self._is_recording() else replace(chunk, samples=np.zeros_like(chunk.samples))
            self._tape.put(kept)
            if self._writer is None and self._frame_size is not None and self._tape.end > FRAME_WAIT:
                width, height = self._frame_size
                self._write(0.0, self._draw(Frame(0.0, np.zeros((height, width, 3), np.uint8)), None))
            if self._writer is not None:
                self._writer.audio_waits()

    def frame(self, frame: Frame, snapshot: Snapshot | None) -> None:
        if not self._is_recording():
            return
        self._write(frame.time, self._draw(frame, snapshot))

    def _write(self, time: float, image: Image) -> None:
        if self._writer is None:
            size = (image.shape[1], image.shape[0])
            self._writer = Mp4Writer(self._path, size, self._tape, stop=self._stop, report=self._report)
        self._writer.frame(time, image)

    def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
