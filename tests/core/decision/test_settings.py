"""Settings of the decision: finite, frozen, in an order that cannot flicker."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest

from speakerlight.core.decision.chain import MAX_PRIOR
from speakerlight.core.decision.settings import Settings

S = Settings()


def test_every_constant_is_a_finite_number_and_none_can_be_altered() -> None:
    for settings in (S, S.calibration):
        for constant in fields(settings):
            value = getattr(settings, constant.name)
            assert value == S.calibration or abs(value) < 1000, constant.name
            with pytest.raises(FrozenInstanceError):
                setattr(settings, constant.name, 0.0)


def test_a_face_is_not_named_without_evidence() -> None:
    assert S.named_from > MAX_PRIOR


def test_a_state_needs_more_to_begin_than_to_go_on() -> None:
    assert 0 < S.speech_off < S.speech_on < 1
    assert 0 < S.lost_below < S.named_from < S.certain_from < 1
    assert 0 < S.lost_below < S.marked_below < S.marked_from < 1
    assert 0 < S.second_below < S.second_from < 1
    assert 0 < S.offscreen_below < S.offscreen_from < 1
    assert S.takeover_odds > 1 and S.min_dwell_seconds > 0
