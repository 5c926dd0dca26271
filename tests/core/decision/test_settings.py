from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest
from speakerlight.core.decision.settings import Settings

SETTINGS = Settings()


def test_every_constant_is_a_finite_number_and_none_can_be_altered() -> None:
    for part in (SETTINGS.evidence, SETTINGS.belief, SETTINGS.lag, SETTINGS.turns):
        for constant in fields(part):
            assert abs(getattr(part, constant.name)) < 1000, constant.name
            with pytest.raises(FrozenInstanceError):
                setattr(part, constant.name, 0.0)


def test_a_turn_needs_more_to_begin_than_to_go_on() -> None:
    turns = SETTINGS.turns
    assert 0 < turns.off <= turns.on < turns.also_on < 1
    assert 0 < turns.speech_off < turns.speech_on < 1
    assert 0 < turns.also_off < turns.also_on < turns.offscreen_from < 1


def test_nobody_is_named_before_there_is_evidence() -> None:
    belief = SETTINGS.belief
    assert belief.most_at_first + belief.two_at_once < 0.5
    assert belief.nobody_in_view + belief.two_at_once < 1


def test_evidence_that_speaks_for_a_face_makes_it_likelier() -> None:
    evidence = SETTINGS.evidence
    assert evidence.fast_seconds < evidence.slow_seconds < 2.0
    assert evidence.bias < 0
    assert min(evidence.sync, evidence.level, evidence.activity, evidence.stillness) >= 0
    assert min(evidence.most_for, evidence.most_against) > 0
