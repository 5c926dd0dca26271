"""Joined sources: frames of one recording and audio of another, both played in real time."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from speakerlight.clock import SessionClock
from speakerlight.core.media import AudioChunk
from speakerlight.rings import FrameRing
from speakerlight.sources.files import FileReader
from speakerlight.sources.joined import JoinedSource
from speakerlight.sources.pacing import PacedSource
from speakerlight.sources.source import LiveSource, SourceState
from tests.stream.sources.conftest import Clip


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
