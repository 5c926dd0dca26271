"""The fast driver: a recording through the engine in lock-step, as fast as the machine can, dropping nothing.

decoding ─► looking ─► scoring: a thread each, a bounded number of items ahead of the next
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from typing import TypeVar

from speakerlight.core.faces.vision import FrameTracks
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.core.snapshot import Snapshot
from speakerlight.engine import EmptyFrames, Engine, ScorerStage, TickAdapter, stage
from speakerlight.outputs.hub import OutputHub
from speakerlight.sources.source import MediaReader, due
from tqdm import tqdm

DECODED_AHEAD = 16
"""Pictures and sounds: enough to keep a second core decoding, 200 MB of 4K pictures at the worst."""

LOOKED_AHEAD = 4
"""Evens out pictures that are searched and those that are only followed."""

SCORED_TOGETHER_SECONDS = 0.16
"""Four ticks in one batch cost two thirds of four batches; eight hardly less than that (measured)."""

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
    looked = read_ahead(_looked_at(decoded, TickAdapter(engine.vision)), LOOKED_AHEAD)
    with closing(decoded), closing(looked), _progress(length) as bar:
        try:
            with stage("reading"):
                for item, frame_tracks in looked:
                    moment = due(item)
                    if stop.is_set() or (duration_seconds is not None and moment > duration_seconds):
                        break
                    lockstep.feed(item, frame_tracks)
                    _advance(bar, moment)
        finally:
            lockstep.finish()


def _looked_at(
    items: Iterable[Frame | AudioChunk], adapter: TickAdapter
) -> Iterator[tuple[Frame | AudioChunk, list[FrameTracks]]]:
    for item in items:
        with stage("vision"):
            yield item, list(adapter.push(item)) if isinstance(item, Frame) else []


class _Lockstep:
    def __init__(self, scorer: ScorerStage, hub: OutputHub, has_video: bool) -> None:
        self._scorer = scorer
        self._hub = hub
        self._blank = None if has_video else EmptyFrames()
        self._scored = 0.0

    def feed(self, item: Frame | AudioChunk, frame_tracks: Iterable[FrameTracks]) -> None:
        if isinstance(item, Frame):
            self._push_frame(item, frame_tracks)
        else:
            self._push_audio(item)
        if due(item) - self._scored >= SCORED_TOGETHER_SECONDS:
            self._scored = due(item)
            with stage("scoring"):
                self._tell(self._scorer.advance())

    def finish(self) -> None:
        with stage("scoring"):
            self._tell(self._scorer.finish())

    def _push_frame(self, frame: Frame, frame_tracks: Iterable[FrameTracks]) -> None:
        self._hub.frame(frame)
        with stage("scoring"):
            self._scorer.push_tracks(list(frame_tracks))

    def _push_audio(self, chunk: AudioChunk) -> None:
        self._hub.audio(chunk)
        with stage("scoring"):
            self._scorer.push_audio([chunk])
            if self._blank is not None:
                self._scorer.push_tracks(list(self._blank.until(due(chunk))))

    def _tell(self, snapshots: Iterable[Snapshot]) -> None:
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
