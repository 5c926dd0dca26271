"""A browser's video and audio as a live source: the newest frame, audio without gaps, on the session's clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from speakerlight.clock import SessionClock
from speakerlight.core.timebase import SAMPLE_RATE
from speakerlight.server.browser_source import BrowserSource
from speakerlight.server.timeline import Kind
from speakerlight.sources.source import SourceState

PACKET_SECONDS = 0.02


class Hand:
    """A monotonic clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def source(hand: Hand) -> Iterator[BrowserSource]:
    made = BrowserSource(has_audio=True)
    made.start(SessionClock(hand))
    yield made
    made.stop()
    assert made.state is SourceState.ENDED


def image(seconds: float) -> av.VideoFrame:
    frame = av.VideoFrame(64, 48, "yuv420p")
    frame.pts, frame.time_base = round(seconds * 90_000), Fraction(1, 90_000)
    return frame


def audio(seconds: float, loudness: float = 0.5) -> av.AudioFrame:
    samples = np.full((1, round(PACKET_SECONDS * 48_000) * 2), loudness * 32767, np.int16)
    frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
    frame.sample_rate = 48_000
    frame.pts, frame.time_base = round(seconds * 48_000), Fraction(1, 48_000)
    return frame


def arrives(source: BrowserSource, hand: Hand, kind: Kind, stamp: float, at: float) -> None:
    hand.now = 100.0 + at
    source.packet_arrived(kind, stamp)


def taken(source: BrowserSource, seconds: float = 2.0) -> list[float]:
    """The times of the frames that come until none does for a moment."""
    assert source.frames is not None
    times: list[float] = []
    while frame := source.frames.take(seconds if not times else 0.1):
        times.append(frame.time)
    return times


def test_a_frame_has_the_time_of_its_arrival(source: BrowserSource, hand: Hand) -> None:
    arrives(source, hand, Kind.VIDEO, 5.0, at=1.0)
    source.push_video(image(5.0))
    assert taken(source) == [pytest.approx(1.0)]
    assert source.frame_size == (1280, 960)


def test_only_the_newest_frames_wait(source: BrowserSource, hand: Hand) -> None:
    for number in range(50):
        arrives(source, hand, Kind.VIDEO, number / 25, at=number / 25)
        source.push_video(image(number / 25))
    deadline = time.monotonic() + 2.0
    while source.dropped < 48 and time.monotonic() < deadline:
        time.sleep(0.01)
    times = taken(source)
    assert times[-1] == pytest.approx(49 / 25) and len(times) <= 2
    assert source.dropped == 50 - len(times)


def test_time_never_runs_backwards(source: BrowserSource, hand: Hand) -> None:
    for kind in Kind:
        for number in range(25):
            arrives(source, hand, kind, number / 25, at=number / 25 + (0.2 if kind is Kind.VIDEO else 0.0))
    source.push_video(image(0.96))
    assert taken(source) == [pytest.approx(1.16)]
    for kind in Kind:
        source.sender_report(kind, 0.9, 1000.9)
        arrives(source, hand, kind, 1.0, at=1.2 if kind is Kind.VIDEO else 1.0)
    source.push_video(image(1.0))
    assert taken(source, 0.2) == [], "the report says 1.0, but 1.16 has been shown"
    source.push_video(image(1.2))
    assert taken(source) == [pytest.approx(1.2, abs=0.01)]


def test_a_nonsense_stamp_is_dropped(source: BrowserSource, hand: Hand) -> None:
    arrives(source, hand, Kind.VIDEO, 5.0, at=1.0)
    source.push_video(image(500.0))
    source.push_video(image(5.0))
    assert taken(source) == [pytest.approx(1.0)]


def test_audio_is_mono_at_16_khz_without_gaps(source: BrowserSource, hand: Hand) -> None:
    received = []
    for number in range(100):
        stamp = number * PACKET_SECONDS
        arrives(source, hand, Kind.AUDIO, 7.0 + stamp, at=stamp)
        if not 40 <= number < 50:
            source.push_audio(audio(7.0 + stamp))
        time.sleep(0.001)
        received += source.take_audio()
    deadline = time.monotonic() + 2.0
    while sum(len(each.samples) for each in received) < 1.9 * SAMPLE_RATE and time.monotonic() < deadline:
        received += source.take_audio()
        time.sleep(0.01)
    assert received[0].time == 0.0
    for one, two in pairwise(received):
        assert two.time == pytest.approx(one.time + len(one.samples) / SAMPLE_RATE)
    samples = np.concatenate([each.samples for each in received])
    assert samples.dtype == np.float32
    assert np.abs(samples[4000:12_000] - 0.5).max() < 0.02
    assert np.abs(samples[round(0.85 * SAMPLE_RATE) : round(0.95 * SAMPLE_RATE)]).max() < 0.01, (
        "what was lost is silence"
    )
    assert np.abs(samples[round(1.1 * SAMPLE_RATE) : round(1.8 * SAMPLE_RATE)] - 0.5).max() < 0.02


def test_what_comes_before_the_start_is_dropped() -> None:
    source = BrowserSource(has_audio=False)
    source.packet_arrived(Kind.VIDEO, 0.0)
    source.push_video(image(0.0))
    source.push_audio(audio(0.0))
    assert source.now is None and source.take_audio() == []
    source.start(SessionClock())
    assert source.state is SourceState.RUNNING and source.now is not None
    source.stop()
    assert not any(thread.name == "capture browser" for thread in threading.enumerate())
