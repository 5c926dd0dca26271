from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from speakerlight.core.models.compact_network import CompactSyncNet
from speakerlight.core.timebase import SAMPLES_PER_TICK
from speakerlight.core.training import alignment
from speakerlight.core.training.alignment import MOST_LAG_TICKS, aligned, lag_curve, moved, peak
from speakerlight.core.training.dataset import Example
from speakerlight.core.training.evaluation import EmbeddedClip

from tests.core.training.people import person


def embedded(ticks: int, lag: int) -> EmbeddedClip:
    """A clip whose every moment is like no other, with sound ``lag`` ticks late."""
    moments = np.eye(ticks, dtype=np.float32)
    return EmbeddedClip(moments, np.roll(moments, lag, axis=0), np.ones(ticks, np.float32))


@pytest.mark.parametrize("lag", [-7, -1, 0, 4])
def test_late_sound_has_its_peak_at_a_positive_lag(lag: int) -> None:
    assert peak(lag_curve(embedded(60, lag))) - MOST_LAG_TICKS == pytest.approx(lag, abs=0.01)


def test_a_peak_between_two_steps_is_found() -> None:
    steps = np.arange(21)
    assert peak(1 - (steps - 9.3) ** 2) == pytest.approx(9.3)
    assert peak(steps.astype(float)) == 20


@pytest.mark.parametrize("lag", [-2.5, 0.0, 3.0])
def test_moved_sound_is_where_it_belongs_and_as_long_as_before(lag: float) -> None:
    on_time = person(0)
    late = round(lag * SAMPLES_PER_TICK)
    recorded = replace(on_time, face=replace(on_time.face, samples=np.roll(on_time.face.samples, late)))
    mended = moved(recorded, lag)
    inside = slice(abs(late), -abs(late) or None)
    assert len(mended.face.samples) == len(on_time.face.samples)
    np.testing.assert_array_equal(mended.face.samples[inside], on_time.face.samples[inside])
    assert mended.speech.shape == on_time.speech.shape


def test_clips_are_put_right_those_of_others_sound_go_and_short_ones_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    late, strange, short = person(1, ticks=60), person(2, ticks=60), person(3, ticks=25)
    flat = EmbeddedClip(np.ones((60, 4), np.float32), np.ones((60, 4), np.float32), np.ones(60, np.float32))

    def embed(_: CompactSyncNet, crops: np.ndarray, samples: np.ndarray) -> EmbeddedClip:
        return embedded(60, 3) if crops is late.face.crops else flat

    monkeypatch.setattr(alignment, "embed_clip", embed)
    given: list[Example] = list(aligned([late, strange, short], CompactSyncNet()))
    assert [e.face.name for e in given] == [late.face.name, short.face.name]
    np.testing.assert_array_equal(given[0].face.samples, moved(late, 3.0).face.samples)
    assert given[1] is short
