from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from speakerlight.clock import SessionClock
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.sources.files import FileReader
from speakerlight.sources.pacing import PacedSource
from speakerlight.sources.source import SourceState, due
from tests.stream.sources.conftest import Clip


def test_a_file_is_played_at_its_own_time_and_nothing_is_lost(tmp_path: Path) -> None:
    path = Clip(times=tuple(np.arange(30) / 30), sound_seconds=1.0).write(tmp_path / "clip.mkv")
    clock, source = SessionClock(), PacedSource(FileReader(path))
    assert source.has_audio and source.frames is not None
    source.start(clock)
    late, chunks = [], []
    while not source.frames.drained:
        if frame := source.frames.take(0.01):
            late.append(clock.now() - frame.time)
        for chunk in source.take_audio():
            chunks.append(chunk)
            assert clock.now() >= due(chunk)
    assert 0.95 < clock.now() < 1.5
    chunks += source.take_audio()
    assert len(late) == 30 and min(late) >= 0 and np.median(late) < 0.02
    assert sum(len(chunk.samples) for chunk in chunks) == 16_000
    source.stop()
    assert source.state is SourceState.ENDED and source.trouble is None


def test_it_stops_at_once_in_the_middle(tmp_path: Path) -> None:
    source = PacedSource(FileReader(Clip(times=[0.0, 60.0]).write(tmp_path / "clip.mkv")))
    assert source.frames is not None
    source.start(SessionClock())
    assert source.frames.take(2) is not None
    begun = time.monotonic()
    source.stop()
    assert time.monotonic() - begun < 0.5 and source.state is SourceState.ENDED


class SlowReader:
    """Decoding takes three times as long as what is decoded."""

    name, duration_seconds, has_video, has_audio, frame_size, frame_rate = "slow", None, True, False, (2, 2), 25.0

    def __iter__(self) -> Iterator[Frame | AudioChunk]:
        for tick in range(10):
            time.sleep(0.12)
            yield Frame(tick / 25, np.zeros((2, 2, 3), np.uint8))

    def close(self) -> None:
        pass


def test_it_reports_how_late_it_is_when_the_machine_is_too_slow() -> None:
    source = PacedSource(SlowReader())
    assert source.frames is not None and source.late_seconds == 0
    source.start(SessionClock())
    while not source.frames.drained:
        source.frames.take(0.01)
    assert 0.7 < source.late_seconds < 2
    source.stop()


class BrokenReader:
    name, duration_seconds, has_video, has_audio, frame_size, frame_rate = "broken", None, True, False, (2, 2), 25.0

    def __iter__(self) -> Iterator[Frame | AudioChunk]:
        yield Frame(0.0, np.zeros((2, 2, 3), np.uint8))
        raise OSError("the disk is gone")

    def close(self) -> None:
        pass


def test_a_reader_that_fails_ends_the_source_with_a_clear_line() -> None:
    source = PacedSource(BrokenReader())
    assert source.frames is not None
    source.start(SessionClock())
    assert isinstance(source.frames.take(1), Frame)
    assert source.frames.take(1) is None and source.frames.drained
    source.stop()
    assert source.state is SourceState.ENDED
    assert source.trouble == "broken: capture ended: the disk is gone"


@pytest.mark.parametrize("count", [10])
def test_audio_that_is_not_consumed_is_bounded_and_counted(count: int) -> None:
    class LongSound(BrokenReader):
        has_video, has_audio = False, True

        def __iter__(self) -> Iterator[Frame | AudioChunk]:
            for number in range(600):
                yield AudioChunk(-100 + number / 25, np.zeros(640, np.float32))

    source = PacedSource(LongSound())
    source.start(SessionClock())
    while source.state is not SourceState.ENDED:
        time.sleep(0.01)
    assert sum(len(audio.samples) for audio in source.take_audio()) <= count * 16_000
    assert source.audio_overflows == 1
    source.stop()


def test_lost_audio_never_shifts_what_follows() -> None:
    class Nothing(BrokenReader):
        has_video, has_audio = False, True

        def __iter__(self) -> Iterator[Frame | AudioChunk]:
            return iter(())

    source = PacedSource(Nothing())
    source.start(SessionClock())
    for number in range(20 * 25):  # twice what the ring holds: the older half is lost
        source._ring.write(np.full((640, 1), (number + 1) / 1000, np.float32), number / 25)
    chunks = source.take_audio()
    samples = np.concatenate([chunk.samples for chunk in chunks])
    assert chunks[0].time == 0.0 and len(samples) == 20 * 16_000
    assert not samples[: 9 * 16_000].any()
    assert samples[-1] == np.float32(0.5) and samples[15 * 16_000] == np.float32(0.376)
    assert source.audio_overflows == 1
    source.stop()


def test_audio_that_has_ended_goes_on_as_silence(tmp_path: Path) -> None:
    path = Clip(times=None, sound_seconds=0.3).write(tmp_path / "short.wav")
    source, clock, length = PacedSource(FileReader(path)), SessionClock(), 0
    source.start(clock)
    while clock.now() < 2.0:
        time.sleep(0.02)
        length += sum(len(chunk.samples) for chunk in source.take_audio())
    source.stop()
    assert 0.8 < length / 16_000 < 2.0
