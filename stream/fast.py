"""The fast driver: a recording through the engine in lock-step, as fast as the machine can, dropping nothing.

decoding ─► vision ─► scoring: a thread each, a bounded number of items ahead of the next
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from typing import TypeVar

from tqdm import tqdm

from speakerlight.core.faces.vision import FrameTracks
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.core.snapshot import Snapshot
from speakerlight.engine import EmptyFrames, Engine, ScorerStage, TickAdapter, stage
from speakerlight.outputs.hub import OutputHub
from speakerlight.sources.source import MediaReader, due

DECODED_AHEAD = 16
"""Frames and audio chunks: enough to keep a second core decoding, 200 MB of 4K frames at the worst."""

TRACKED_AHEAD = 4
"""Evens out frames that are searched for new faces and those in which known ones are followed only."""

SCORED_TOGETHER_SECONDS = 0.16
"""Four ticks in one batch cost two thirds of four batches; eight hardly less than that (measured)."""

SCORED_TICKS = 25
"""Ticks without frames that are scored at once."""

tqdm.monitor_interval = 0  # without it the bar starts a thread of its own, which outlives it

Item = TypeVar("Item")


def run_fast(
    reader: MediaReader, engine: Engine, hub: OutputHub, duration_seconds: float | None, stop: threading.Event
) -> None:
    """Run to the end of ``reader``, to ``duration_seconds`` of it, or until ``stop`` is set.

    Raises StageError, with everything handed to ``hub`` that was decided until then.
    """
    length = min((end for end in (reader.duration_seconds, duration_seconds) if end is not None), default=None)
    lockstep = _Lockstep(engine.scorer, hub, reader.has_video)
    decoded = read_ahead(reader, DECODED_AHEAD)
    adapter = TickAdapter(engine.vision) if reader.has_video else None
    tracked = read_ahead(_tracked(decoded, adapter), TRACKED_AHEAD)
    with closing(decoded), closing(tracked), _progress(length) as bar:
        try:
            with stage("reading"):
                for item, frame_tracks in tracked:
                    moment = lockstep.moment if item is None else due(item)
                    if stop.is_set() or (duration_seconds is not None and moment > duration_seconds):
                        break
                    lockstep.feed(item, frame_tracks)
                    _advance(bar, moment)
        finally:
            lockstep.finish()


def _tracked(
    items: Iterable[Frame | AudioChunk], adapter: TickAdapter | None
) -> Iterator[tuple[Frame | AudioChunk | None, list[FrameTracks]]]:
    """Each item with the ticks that it decides; at the end None with those that are left."""
    end = 0.0
    for item in items:
        end = due(item)
        with stage("vision"):
            yield item, list(_decided(item, adapter)) if adapter else []
    with stage("vision"):
        yield None, list(adapter.finish(end)) if adapter else []


def _decided(item: Frame | AudioChunk, adapter: TickAdapter) -> Iterator[FrameTracks]:
    return adapter.push(item) if isinstance(item, Frame) else adapter.pass_time(due(item))


class _Lockstep:
    """Feeds the scorer and the outputs. ``moment``: how far the media is consumed, in seconds."""

    def __init__(self, scorer: ScorerStage, hub: OutputHub, has_video: bool) -> None:
        self._scorer = scorer
        self._hub = hub
        self._empty_frames = None if has_video else EmptyFrames()
        self._scored = 0.0
        self.moment = 0.0

    def feed(self, item: Frame | AudioChunk | None, frame_tracks: Sequence[FrameTracks]) -> None:
        if item is not None:
            self.moment = due(item)
        if isinstance(item, Frame):
            self._hub.frame(item)
        elif item is not None:
            self._push_audio(item)
        # After a gap of video without audio there are minutes of ticks: the scorer remembers some seconds.
        for first in range(0, len(frame_tracks), SCORED_TICKS):
            self._push_tracks(frame_tracks[first : first + SCORED_TICKS])
            if first + SCORED_TICKS < len(frame_tracks):
                self._advance()
        if self.moment - self._scored >= SCORED_TOGETHER_SECONDS:
            self._scored = self.moment
            self._advance()

    def finish(self) -> None:
        with stage("scoring"):
            self._publish(self._scorer.finish())

    def _push_audio(self, chunk: AudioChunk) -> None:
        self._hub.audio(chunk)
        with stage("scoring"):
            self._scorer.push_audio([chunk])
        if self._empty_frames is not None:
            self._push_tracks(list(self._empty_frames.until(due(chunk))))

    def _push_tracks(self, frame_tracks: Sequence[FrameTracks]) -> None:
        with stage("scoring"):
            self._scorer.push_tracks(frame_tracks)

    def _advance(self) -> None:
        with stage("scoring"):
            self._publish(self._scorer.advance())

    def _publish(self, snapshots: Iterable[Snapshot]) -> None:
        for snapshot in snapshots:
            self._hub.snapshot(snapshot)


def read_ahead(items: Iterable[Item], count: int) -> Generator[Item, None, None]:
    """``items`` in their order, made by another thread up to ``count`` ahead. Close the iterator to end the thread."""
    ready: queue.Queue[Item | _End] = queue.Queue(count)
    closed = threading.Event()

    def read() -> None:
        error: Exception | None = None
        try:
            for item in items:
                if closed.is_set():
                    return
                ready.put(item)
        except Exception as caught:  # whatever it is, it belongs to the thread that reads
            error = caught
        ready.put(_End(error))

    thread = threading.Thread(target=read, name="decode", daemon=True)
    thread.start()
    try:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        closed.set()
        while thread.is_alive():  # it may wait for room
            _emptied(ready)
            thread.join(0.01)


class _End:
    def __init__(self, error: Exception | None) -> None:
        self.error = error


def _emptied(ready: queue.Queue[Item]) -> None:
    while not ready.empty():
        ready.get_nowait()


def _progress(length: float | None) -> tqdm[None]:
    """On a terminal only: in a log it would be hundreds of lines."""
    known = "{percentage:3.0f}% |{bar}| {n:.0f} of {total:.0f} s, {remaining} left"
    return tqdm(total=length, disable=None, leave=False, bar_format=known if length else "{n:.0f} s")


def _advance(bar: tqdm[None], moment: float) -> None:
    bar.update(max(min(moment, bar.total or moment) - bar.n, 0.0))
