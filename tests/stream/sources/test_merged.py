from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from speakerlight.core.media import AudioChunk, Frame
from speakerlight.sources.files import FileReader
from speakerlight.sources.merged import MergedReader, VideoReader, in_time_order
from speakerlight.sources.source import due
from tests.stream.sources.conftest import Clip, click_times


def frames(*times: float) -> list[Frame]:
    return [Frame(time, np.zeros((2, 2, 3), np.uint8)) for time in times]


def sounds(count: int) -> list[AudioChunk]:
    return [AudioChunk(number * 0.04, np.ones(640, np.float32)) for number in range(count)]


def test_nothing_is_given_before_what_is_earlier() -> None:
    items = list(in_time_order(iter(frames(0.0, 0.05, 0.1)), iter(sounds(4))))
    kinds = "".join("F" if isinstance(item, Frame) else "s" for item in items)
    assert kinds == "FsFsFss"
    assert [due(item) for item in items] == sorted(due(item) for item in items)


def test_audio_that_ends_early_is_followed_by_silence_as_far_as_the_frames_go() -> None:
    items = list(in_time_order(iter(frames(0.0, 1.0)), iter(sounds(2))))
    heard = [item for item in items if isinstance(item, AudioChunk)]
    assert due(heard[-1]) == 1.0 and isinstance(items[-1], Frame)
    assert sum(sound.samples.sum() for sound in heard) == 1280


def test_video_without_audio_stays_without() -> None:
    assert all(isinstance(item, Frame) for item in in_time_order(iter(frames(0.0, 1.0)), iter(())))


def test_the_audio_of_another_file_is_laid_beside_the_frames(tmp_path: Path) -> None:
    picture = FileReader(Clip(sound_seconds=None).write(tmp_path / "a.mp4"))
    sound = FileReader(Clip(times=None, sound_seconds=3.0).write(tmp_path / "b.wav"))
    reader = MergedReader(picture, sound)
    assert reader.name == "a.mp4 + b.wav" and reader.frame_size == (160, 120) and reader.frame_rate == 25
    assert reader.duration_seconds == pytest.approx(3.0)
    items = list(reader)
    reader.close()
    assert sum(isinstance(item, Frame) for item in items) == 50
    heard = np.concatenate([item.samples for item in items if isinstance(item, AudioChunk)])
    assert click_times(0.0, heard) == pytest.approx(np.arange(6) / 2 + 0.25, abs=0.001)


def test_a_recording_can_be_seen_without_being_heard(tmp_path: Path) -> None:
    reader = VideoReader(FileReader(Clip().write(tmp_path / "clip.mkv")))
    assert reader.has_video and not reader.has_audio and reader.name == "clip.mkv"
    assert len([item for item in reader if isinstance(item, Frame)]) == 50
    reader.close()
