from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest

from core.settings import Settings

SETTINGS = Settings()


def test_every_constant_is_a_finite_number_and_none_can_be_altered() -> None:
    for part in (SETTINGS.evidence, SETTINGS.lag, SETTINGS.turns):
        for constant in fields(part):
            assert abs(getattr(part, constant.name)) < 1000, constant.name
            with pytest.raises(FrozenInstanceError):
                setattr(part, constant.name, 0.0)


def test_a_turn_needs_more_to_begin_than_to_go_on() -> None:
    turns = SETTINGS.turns
    assert 0 < turns.off < turns.on < 1
    assert 0 < turns.speech_off < turns.speech_on < 1
    assert 0 < turns.also_off < turns.also_on < 1
    assert turns.challenger_odds > 1


def test_turns_begin_at_once_and_change_faster_than_people_complain() -> None:
    turns = SETTINGS.turns
    assert 0 < turns.begin_seconds <= turns.switch_seconds <= 0.5 <= turns.belief_seconds


def test_evidence_that_speaks_for_a_face_raises_its_probability() -> None:
    evidence = SETTINGS.evidence
    assert evidence.fast_seconds < evidence.slow_seconds < 2.0
    assert evidence.bias < 0
    assert min(evidence.sync_fast, evidence.sync_slow, evidence.level, evidence.activity, evidence.stillness) >= 0
