"""The fast driver: every frame and all audio are processed once, in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from speakerlight.core.events import Event, Percentiles
from speakerlight.core.faces.vision import FrameTracks
from speakerlight.core.media import AudioChunk, Frame, Image
from speakerlight.core.snapshot import Snapshot
from speakerlight.engine import Engine, StageError
from speakerlight.fast import read_ahead, run_fast
from speakerlight.outputs.hub import OutputHub
from speakerlight.outputs.output import Output
from speakerlight.sources.files import FileReader
from tests.stream.sources.conftest import Clip
from tests.stream.standin import LOOKAHEAD_TICKS, StandInScorer, StandInVision, stand_in


class Kept(Output):
    """Keeps all that an output is given."""

    option = "--kept"
    takes_frames = True

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []
        self.frames: list[float] = []
        self.audio_times: list[float] = []
        self.events: list[Event] = []
        self.closed = False

    def event(self, event: Event) -> None:
        self.events.append(event)

    def snapshot(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)

    def frame(self, frame: Frame, snapshot: Snapshot | None) -> None:
        self.frames.append(frame.time)

    def audio(self, samples: AudioChunk) -> None:
        self.audio_times.append(samples.time)

    def close(self) -> None:
        self.closed = True


def play(path: Path, engine: Engine | None = None, duration: float | None = None) -> Kept:
    reader, kept = FileReader(path), Kept()
    hub = OutputHub([kept], pytest.fail)
    try:
        run_fast(reader, engine or stand_in(reader.has_audio), hub, duration, threading.Event())
    finally:
        hub.close(Percentiles())
        reader.close()
    return kept


@pytest.mark.parametrize("rate", [15, 25, 29.97, 50])
def test_every_tick_is_scored_once_whatever_the_rate(tmp_path: Path, rate: float) -> None:
    times = tuple(number / rate for number in range(round(2 * rate)))
    kept = play(Clip(times=times).write(tmp_path / "clip.mkv"))
    ticks = [snapshot.tick for snapshot in kept.snapshots]
    assert ticks == list(range(len(ticks))) and 48 <= len(ticks) <= 51
    assert len(kept.frames) == len(times)
    assert kept.frames == sorted(kept.frames)
    assert all(abs(snapshot.time - snapshot.tick / 25) <= 0.5 / rate + 0.01 for snapshot in kept.snapshots)


def test_a_video_without_audio_is_silence(tmp_path: Path) -> None:
    kept = play(Clip(sound_seconds=None).write(tmp_path / "clip.mkv"))
    assert len(kept.snapshots) == 50
    assert {snapshot.speech for snapshot in kept.snapshots} == {0.0}


def test_audio_without_video_has_ticks_without_faces(tmp_path: Path) -> None:
    kept = play(Clip(times=None).write(tmp_path / "audio.wav"))
    assert [snapshot.tick for snapshot in kept.snapshots] == list(range(51))
    assert not any(snapshot.faces for snapshot in kept.snapshots)
    assert kept.frames == []


def test_it_ends_at_the_duration(tmp_path: Path) -> None:
    kept = play(Clip().write(tmp_path / "clip.mkv"), duration=1.0)
    assert kept.snapshots[-1].time == pytest.approx(1.0, abs=0.041)
    assert kept.frames[-1] == pytest.approx(1.0, abs=0.041)


def test_when_it_is_stopped_the_rest_is_decided(tmp_path: Path) -> None:
    stop, kept = threading.Event(), Kept()
    reader = FileReader(Clip().write(tmp_path / "clip.mkv"))

    class Stopping(StandInScorer):
        def push_tracks(self, frame_tracks: Sequence[FrameTracks]) -> None:
            if any(tracks.tick == 20 for tracks in frame_tracks):
                stop.set()
            super().push_tracks(frame_tracks)

    run_fast(reader, Engine(StandInVision(), Stopping()), OutputHub([kept], pytest.fail), None, stop)
    reader.close()
    assert kept.snapshots[-1].tick == 20


def test_a_stage_that_fails_is_one_line_and_what_was_decided_is_reported(tmp_path: Path) -> None:
    class Failing(StandInVision):
        def process(self, tick: int, time: float, image: Image, stride: int = 1) -> FrameTracks:
            if tick == 10:
                raise ValueError("a frame\nof nothing")
            return super().process(tick, time, image, stride)

    path, kept = Clip().write(tmp_path / "clip.mkv"), Kept()
    reader = FileReader(path)
    with pytest.raises(StageError, match=r"^vision failed: ValueError: a frame \(test_fast.py:\d+\)$"):
        run_fast(reader, Engine(Failing(), StandInScorer()), OutputHub([kept], pytest.fail), None, threading.Event())
    reader.close()
    assert [snapshot.tick for snapshot in kept.snapshots] == list(range(10))
    assert LOOKAHEAD_TICKS < 10


def test_reading_ahead_changes_nothing_and_ends_with_its_reader() -> None:
    before = threading.active_count()
    assert list(read_ahead(range(100), 3)) == list(range(100))
    items = read_ahead(iter(range(10**9)), 3)
    assert [next(items) for _ in range(5)] == list(range(5))
    items.close()
    assert threading.active_count() == before


def test_what_reading_raises_comes_after_what_was_read() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    items = read_ahead(broken(), 3)
    assert next(items) == 1
    with pytest.raises(OSError, match="gone"):
        next(items)
