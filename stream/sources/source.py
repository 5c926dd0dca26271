"""Sources of frames and audio: a recording that is read, or a live source that pushes into rings.

Reconnecting is here, too: a live source whose device or connection is lost tries again, in ``ThreadedSource``.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, TypeVar

from speakerlight.clock import SessionClock
from speakerlight.core.errors import InputError
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.core.timebase import SAMPLE_RATE
from speakerlight.rings import FrameRing
from speakerlight.threads import join_within

logger = logging.getLogger(__name__)

STOP_SECONDS = 0.9
"""How long ``stop`` waits for a capture thread. One that hangs in a driver or a socket is abandoned: it is a daemon
and its own timeout ends it."""


BACKOFF_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Pauses between attempts to get a lost device or connection back; the last one repeats."""

Device = TypeVar("Device")


@dataclass(frozen=True)
class AudioChoice:
    """``--audio-track`` and ``--audio-channel``, both counted from 1; None: chosen by what they carry."""

    track: int | None = None
    channel: int | None = None

    @property
    def channel_index(self) -> int | None:
        return None if self.channel is None else self.channel - 1


@dataclass(frozen=True)
class SourceOptions:
    """How sources are opened. ``notify`` receives one line about what a source repaired, chose or misses."""

    choice: AudioChoice = field(default_factory=AudioChoice)
    notify: Callable[[str], None] | None = None


class MediaReader(Protocol):
    """A recording: iterate once to get its frames and audio in time order, on one timeline that starts at 0.

    Frames are given at their time, audio when its last sample is due: at any point all that is earlier has been given.
    The audio has no gaps (missing segments are silence) and lies on the 16 kHz grid: the time of each ``AudioChunk`` is
    a whole number of samples, where the previous chunk ended.
    """

    @property
    def name(self) -> str: ...
    @property
    def duration_seconds(self) -> float | None: ...
    @property
    def has_video(self) -> bool: ...
    @property
    def has_audio(self) -> bool: ...
    @property
    def frame_size(self) -> tuple[int, int] | None:
        """Width and height of every frame in pixels; None without video."""

    @property
    def frame_rate(self) -> float | None:
        """Nominal frames a second; None where unknown."""

    def __iter__(self) -> Iterator[Frame | AudioChunk]: ...
    def close(self) -> None:
        """Let go of the file. May be called more than once."""


def due(item: Frame | AudioChunk) -> float:
    """When all of an item has happened: a frame's time, the end of audio. Seconds."""
    return item.time if isinstance(item, Frame) else (round(item.time * SAMPLE_RATE) + len(item.samples)) / SAMPLE_RATE


class SourceState(Enum):
    """What a live source is doing."""

    READY = "ready"
    RUNNING = "running"
    RECONNECTING = "reconnecting"
    ENDED = "ended"


class LiveSource(ABC):
    """A source that delivers by itself. ``start`` once, poll ``state`` and ``trouble``, ``stop`` once.

    Frames lie in ``frames`` (None where there is no video). Audio is fetched with ``take_audio`` by one thread, some
    ten times a second or more: it comes as one stream without gaps on the 16 kHz grid of the session clock.
    """

    def __init__(self, name: str, frames: FrameRing | None, has_audio: bool) -> None:
        self.name = name
        self.frames = frames
        self.has_audio = has_audio

    @property
    def has_video(self) -> bool:
        return self.frames is not None

    @property
    def duration_seconds(self) -> float | None:
        """How long a played recording is; None for what has no end."""
        return None

    @property
    def frame_size(self) -> tuple[int, int] | None:
        """Width and height of the frames in pixels, where they are known before the first one."""
        return None

    @property
    def end_seconds(self) -> float | None:
        """Session time at which the media of a source that has ended ended; None where it is not known."""
        return None

    @property
    @abstractmethod
    def state(self) -> SourceState: ...

    @property
    @abstractmethod
    def trouble(self) -> str | None:
        """One clear line about what went wrong last; None while all is well."""

    @property
    def audio_overflows(self) -> int:
        """How often audio was lost because the machine was too slow."""
        return 0

    @property
    def late_seconds(self) -> float:
        """How far behind its own time the source delivers, because the machine is too slow for it; devices never do."""
        return 0.0

    @abstractmethod
    def start(self, clock: SessionClock) -> None: ...

    def take_audio(self) -> list[AudioChunk]:
        """The audio that came since the last call."""
        return []

    @abstractmethod
    def stop(self) -> None:
        """End within a second, whatever the device does. May be called more than once."""


class ThreadedSource(LiveSource):
    """A live source with one capture thread, which runs ``_capture`` until the source ends or ``_stopping`` is set."""

    def __init__(self, name: str, frames: FrameRing | None, has_audio: bool) -> None:
        super().__init__(name, frames, has_audio)
        self._clock: SessionClock | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._state = SourceState.READY
        self._trouble: str | None = None

    @property
    def state(self) -> SourceState:
        return self._state

    @property
    def trouble(self) -> str | None:
        return self._trouble

    def start(self, clock: SessionClock) -> None:
        self._clock, self._state = clock, SourceState.RUNNING
        self._thread = threading.Thread(target=self._run, args=(clock,), name=f"capture {self.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        join_within(self._thread, STOP_SECONDS)

    def _run(self, clock: SessionClock) -> None:
        try:
            self._capture(clock)
        except Exception as error:
            self._trouble = f"{self.name}: capture ended: {error}"
        finally:
            self._state = SourceState.ENDED
            if self.frames is not None:
                self.frames.close()

    def _reopened(self, attempt: Callable[[], Device], lost: str) -> Device | None:
        """Try ``attempt`` (which raises InputError) with growing pauses until it succeeds; None when stopped first.

        ``lost``: the line about the fault, kept in ``trouble`` meanwhile.
        """
        self._state, self._trouble = SourceState.RECONNECTING, f"{lost}; trying again"
        tries = 0
        while not self._stopping.wait(BACKOFF_SECONDS[min(tries, len(BACKOFF_SECONDS) - 1)]):
            tries += 1
            try:
                device = attempt()
            except InputError as error:
                self._trouble = f"{error}; trying again"
                continue
            self._state, self._trouble = SourceState.RUNNING, None
            logger.info("%s: back after %d attempts", self.name, tries)
            return device
        return None

    @abstractmethod
    def _capture(self, clock: SessionClock) -> None:
        """Runs in the capture thread until the source's end or until ``_stopping`` is set."""
