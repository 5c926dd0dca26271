from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from speakerlight.core.models.compact_network import CompactSyncNet
from speakerlight.core.timebase import SAMPLES_PER_TICK
from speakerlight.core.training import alignment
from speakerlight.core.training.alignment import MAX_LAG_TICKS, aligned, peak, shifted
from speakerlight.core.training.dataset import UNCONFIRMED, Example
from speakerlight.core.training.evaluation import EmbeddedClip, lag_curve
from tests.core.training.people import person


def embedded(ticks: int, lag: int) -> EmbeddedClip:
    """A clip in which all moments differ, with audio ``lag`` ticks late."""
    moments = np.eye(ticks, dtype=np.float32)
    return EmbeddedClip(moments, np.roll(moments, lag, axis=0), np.ones(ticks, np.float32))


@pytest.mark.parametrize("lag", [-7, -1, 0, 4])
def test_late_audio_has_its_peak_at_a_positive_lag(lag: int) -> None:
    assert peak(lag_curve(embedded(60, lag), MAX_LAG_TICKS)) - MAX_LAG_TICKS == pytest.approx(lag, abs=0.01)


def test_a_peak_between_two_steps_is_interpolated() -> None:
    steps = np.arange(21)
    assert peak(np.asarray(1 - (steps - 9.3) ** 2, np.float64)) == pytest.approx(9.3)
    assert peak(steps.astype(float)) == 20


@pytest.mark.parametrize("lag", [-2.5, 0.0, 3.0])
def test_shifted_audio_is_in_sync_and_as_long_as_before(lag: float) -> None:
    on_time = person(0)
    late = round(lag * SAMPLES_PER_TICK)
    recorded = replace(on_time, face=replace(on_time.face, samples=np.roll(on_time.face.samples, late)))
    corrected = shifted(recorded, lag)
    inside = slice(abs(late), -abs(late) or None)
    assert len(corrected.face.samples) == len(on_time.face.samples)
    np.testing.assert_array_equal(corrected.face.samples[inside], on_time.face.samples[inside])
    assert corrected.speech.shape == on_time.speech.shape


def test_a_clip_whose_lag_is_out_of_range_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    for lag, kept in ((MAX_LAG_TICKS - 1, 1), (MAX_LAG_TICKS, 0)):
        monkeypatch.setattr(alignment, "embed_clip", lambda *_, lag=lag: embedded(60, lag))
        assert len(list(aligned([person(1, ticks=60)], CompactSyncNet()))) == kept


def test_clips_are_shifted_dropped_without_a_peak_and_kept_when_short(monkeypatch: pytest.MonkeyPatch) -> None:
    late, strange, short = person(1, ticks=60), person(2, ticks=60), person(3, ticks=25)
    flat = EmbeddedClip(np.ones((60, 4), np.float32), np.ones((60, 4), np.float32), np.ones(60, np.float32))

    def embed(_: CompactSyncNet, crops: np.ndarray, samples: np.ndarray) -> EmbeddedClip:
        return embedded(60, 3) if crops is late.face.crops else flat

    monkeypatch.setattr(alignment, "embed_clip", embed)
    given: list[Example] = list(aligned([late, strange, short], CompactSyncNet()))
    assert [e.face.name for e in given] == [late.face.name, short.face.name]
    np.testing.assert_array_equal(given[0].face.samples, shifted(late, 3.0).face.samples)
    assert given[1] is short


@pytest.mark.parametrize(("lags", "kept"), [((3, 3), True), ((3, 4), True), ((-6, 5), False)])
def test_an_unconfirmed_clip_needs_the_same_lag_in_both_halves(
    monkeypatch: pytest.MonkeyPatch, lags: tuple[int, int], kept: bool
) -> None:
    moments = np.eye(120, dtype=np.float32)
    audio = np.concatenate([np.roll(moments, lags[0], axis=0)[:60], np.roll(moments, lags[1], axis=0)[60:]])
    clip = EmbeddedClip(moments, audio, np.ones(120, np.float32))
    monkeypatch.setattr(alignment, "embed_clip", lambda *_: clip)
    for source, stays in ((UNCONFIRMED, kept), ("people", True)):
        assert len(list(aligned([person(1, ticks=120, source=source)], CompactSyncNet()))) == stays
