"""Joined sources: the frames of one source and the audio of another, played in real time and read as a recording."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from speakerlight.clock import SessionClock
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.rings import FrameRing
from speakerlight.sources.files import FileReader
from speakerlight.sources.joined import JoinedReader, JoinedSource, VideoReader, in_time_order
from speakerlight.sources.pacing import PacedSource
from speakerlight.sources.source import LiveSource, SourceState, due
from tests.stream.sources.conftest import Clip, click_times


def joined(folder: Path, audio_seconds: float) -> JoinedSource:
    video = Clip(times=tuple(np.arange(20) / 25), sound_seconds=None).write(folder / "video.mkv")
    audio = Clip(times=None, sound_seconds=audio_seconds).write(folder / "audio.mkv")
    return JoinedSource(PacedSource(FileReader(video)), PacedSource(FileReader(audio)))


def test_frames_and_audio_of_two_recordings_share_one_clock(tmp_path: Path) -> None:
    source = joined(tmp_path, audio_seconds=0.4)
    assert source.frames is not None and source.has_audio
    assert "video.mkv" in source.name and source.name.endswith("audio.mkv")
    assert source.frame_size == (160, 120)
    assert source.duration_seconds == pytest.approx(0.8, abs=0.05)
    assert source.end_seconds is None
    source.start(SessionClock())
    times: list[float] = []
    chunks: list[AudioChunk] = []
    while not source.frames.drained:
        if frame := source.frames.take(0.01):
            times.append(frame.time)
        chunks += source.take_audio()
    source.stop()
    assert times == pytest.approx(np.arange(20) / 25)
    assert source.state is SourceState.ENDED and source.trouble is None
    assert source.end_seconds == pytest.approx(0.76, abs=0.05)
    assert source.audio_overflows == 0 and source.late_seconds < 0.5
    samples = np.concatenate([chunk.samples for chunk in chunks])
    assert np.abs(samples[:6400]).max() > 0.01
    assert not samples[6400:].any(), "audio that ended is followed by silence"


def test_stopping_ends_both_at_once(tmp_path: Path) -> None:
    source = joined(tmp_path, audio_seconds=2.0)
    assert source.frames is not None
    source.start(SessionClock())
    begin = time.monotonic()
    source.stop()
    assert time.monotonic() - begin < 1.0
    assert source.state is SourceState.ENDED


class Device(LiveSource):
    """A device in a given state."""

    state: SourceState = SourceState.READY
    trouble: str | None = None

    def __init__(self, state: SourceState, trouble: str | None, *, video: bool) -> None:
        super().__init__("camera" if video else "microphone", FrameRing(1) if video else None, has_audio=not video)
        self.state, self.trouble = state, trouble

    def start(self, clock: SessionClock) -> None: ...

    def stop(self) -> None: ...


@pytest.mark.parametrize(
    ("video", "audio", "both"),
    [
        (SourceState.RUNNING, SourceState.RUNNING, SourceState.RUNNING),
        (SourceState.RUNNING, SourceState.RECONNECTING, SourceState.RECONNECTING),
        (SourceState.RECONNECTING, SourceState.RUNNING, SourceState.RECONNECTING),
        (SourceState.RUNNING, SourceState.ENDED, SourceState.RUNNING),
        (SourceState.ENDED, SourceState.RECONNECTING, SourceState.ENDED),
    ],
)
def test_the_state_is_that_of_the_video_unless_the_audio_reconnects(
    video: SourceState, audio: SourceState, both: SourceState
) -> None:
    source = JoinedSource(Device(video, None, video=True), Device(audio, "microphone: gone", video=False))
    assert source.state is both
    assert source.trouble == "microphone: gone"


def test_trouble_of_the_video_comes_first() -> None:
    video = Device(SourceState.RECONNECTING, "camera: gone", video=True)
    assert JoinedSource(video, Device(SourceState.RUNNING, "microphone: gone", video=False)).trouble == "camera: gone"


def frames(*times: float) -> list[Frame]:
    return [Frame(time, np.zeros((2, 2, 3), np.uint8)) for time in times]


def chunks(count: int) -> list[AudioChunk]:
    return [AudioChunk(number * 0.04, np.ones(640, np.float32)) for number in range(count)]


def test_nothing_is_given_before_what_is_earlier() -> None:
    items = list(in_time_order(iter(frames(0.0, 0.05, 0.1)), iter(chunks(4))))
    kinds = "".join("F" if isinstance(item, Frame) else "a" for item in items)
    assert kinds == "FaFaFaa"
    assert [due(item) for item in items] == sorted(due(item) for item in items)


def test_audio_that_ends_early_is_followed_by_silence_as_far_as_the_frames_go() -> None:
    items = list(in_time_order(iter(frames(0.0, 1.0)), iter(chunks(2))))
    received = [item for item in items if isinstance(item, AudioChunk)]
    assert due(received[-1]) == 1.0 and isinstance(items[-1], Frame)
    assert sum(chunk.samples.sum() for chunk in received) == 1280


def test_video_without_audio_stays_without() -> None:
    assert all(isinstance(item, Frame) for item in in_time_order(iter(frames(0.0, 1.0)), iter(())))


def test_the_audio_of_another_file_is_laid_beside_the_frames(tmp_path: Path) -> None:
    video = FileReader(Clip(sound_seconds=None).write(tmp_path / "a.mp4"))
    audio = FileReader(Clip(times=None, sound_seconds=3.0).write(tmp_path / "b.wav"))
    reader = JoinedReader(video, audio)
    assert reader.name == "a.mp4 + b.wav" and reader.frame_size == (160, 120) and reader.frame_rate == 25
    assert reader.duration_seconds == pytest.approx(3.0)
    items = list(reader)
    reader.close()
    assert sum(isinstance(item, Frame) for item in items) == 50
    received = np.concatenate([item.samples for item in items if isinstance(item, AudioChunk)])
    assert click_times(0.0, received) == pytest.approx(np.arange(6) / 2 + 0.25, abs=0.001)


def test_the_video_of_a_recording_can_be_read_without_its_audio(tmp_path: Path) -> None:
    reader = VideoReader(FileReader(Clip().write(tmp_path / "clip.mkv")))
    assert reader.has_video and not reader.has_audio and reader.name == "clip.mkv"
    assert len([item for item in reader if isinstance(item, Frame)]) == 50
    reader.close()
