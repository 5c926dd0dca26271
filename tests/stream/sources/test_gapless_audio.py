from __future__ import annotations

import numpy as np
import pytest

from speakerlight.core.media import AudioChunk
from speakerlight.sources.gapless_audio import STARVED_SECONDS, GaplessAudio, LiveGaplessAudio


def samples(count: int, value: float = 1.0) -> np.ndarray:
    return np.full(count, value, np.float32)


def joined(chunks: list[AudioChunk]) -> np.ndarray:
    position = round(chunks[0].time * 16_000)
    for chunk in chunks:
        assert round(chunk.time * 16_000) == position and len(chunk.samples) <= 640
        position += len(chunk.samples)
    return np.concatenate([chunk.samples for chunk in chunks])


def test_a_hole_is_silence_and_an_overlap_is_cut() -> None:
    line = GaplessAudio(start=0.0)
    chunks = [*line.place(0.1, samples(1600)), *line.place(0.3, samples(1600, 2)), *line.place(0.35, samples(1600, 3))]
    whole = joined(chunks)
    assert (len(whole), line.end) == (7200, 0.45)
    np.testing.assert_array_equal(np.unique(whole[:1600]), 0)
    np.testing.assert_array_equal(np.unique(whole[3200:4800]), 0)
    np.testing.assert_array_equal(np.unique(whole[6400:]), 3)


def test_what_lies_wholly_in_the_past_is_dropped() -> None:
    line = GaplessAudio(start=1.0)
    assert list(line.place(0.5, samples(1600))) == [] and line.end == 1.0


def test_small_jitter_of_the_times_changes_nothing() -> None:
    line, rng = GaplessAudio(start=0.0), np.random.default_rng(1)
    tone = np.sin(np.arange(16_000) * 0.1).astype(np.float32)
    chunks = [
        chunk
        for first in range(0, 16_000, 320)
        for chunk in line.place(first / 16_000 + rng.uniform(-0.0009, 0.0009), tone[first : first + 320])
    ]
    np.testing.assert_array_equal(joined(chunks), tone)


@pytest.mark.parametrize("drift", [-500e-6, 500e-6])
def test_drift_is_followed_sample_by_sample(drift: float) -> None:
    line = GaplessAudio(start=0.0)
    tone = np.sin(np.arange(60 * 16_000) * 0.05).astype(np.float32)
    chunks = [
        chunk
        for first in range(0, len(tone), 320)
        for chunk in line.place(first / 16_000 * (1 + drift), tone[first : first + 320])
    ]
    assert line.end == pytest.approx(60 * (1 + drift), abs=0.002)
    assert np.abs(np.diff(joined(chunks))).max() < 0.06, "no clicks"


def test_live_audio_is_silence_while_the_device_is_gone_and_goes_on_where_it_belongs() -> None:
    live = LiveGaplessAudio()
    chunks = live.place([(0.0, samples(1600))], 0.1)
    chunks += live.place([], 0.5)
    assert len(joined(chunks)) == 1600
    chunks += live.place([], 3.0)
    assert len(joined(chunks)) == 16_000 * (3 - STARVED_SECONDS)
    chunks += live.place([(3.5, samples(1600))], 3.6)
    assert joined(chunks)[round(3.5 * 16_000)] == 1 and not joined(chunks)[1600 : round(3.5 * 16_000)].any()
