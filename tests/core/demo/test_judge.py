from __future__ import annotations

from itertools import pairwise

import pytest

from speakerlight.core.demo.judge import Judge
from speakerlight.core.demo.script import ScriptedTurn, Truth, spans_of_minute, turns_of_minute
from speakerlight.core.geometry import Box
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState

TILES = (Box(0, 0, 100, 100), Box(100, 0, 100, 100))
TURNS = (ScriptedTurn(0, 1.0, 4.0), ScriptedTurn(1, 5.0, 8.0), ScriptedTurn(None, 9.0, 11.0))


def judge() -> Judge:
    return Judge(TILES, lambda start, end: [t for t in TURNS if t.start < end and t.end > start])


def snapshot(
    time: float,
    primary: int | None,
    scores: tuple[float, float] = (0.5, 0.5),
    marked: tuple[int, ...] = (),
    state: SpeakingState = SpeakingState.SILENCE,
) -> Snapshot:
    boxes = (Box(30, 30, 40, 40), Box(130, 30, 40, 40))
    faces = tuple(FaceScore(i + 1, boxes[i], scores[i], i + 1 in marked) for i in range(2))
    return Snapshot(
        round(time * 25), time, 1.0, faces, SpeakingState.SPEAKING if primary else state, primary, Lag(0, 1)
    )


def perfect(time: float) -> Snapshot:
    turn = next((t for t in TURNS if t.start <= time < t.end), None)
    if turn is None or turn.tile is None:
        return snapshot(time, None, (0.0, 0.0), (), SpeakingState.OFFSCREEN if turn else SpeakingState.SILENCE)
    who = turn.tile + 1
    return snapshot(time, who, (float(who == 1), float(who == 2)), (who,))


def test_a_perfect_run() -> None:
    held = judge()
    for tick in range(300):
        held.push(perfect(tick / 25))
    verdict = held.verdict()
    assert (verdict.identity, verdict.silence, verdict.second, verdict.offscreen) == (1.0, 1.0, 0.0, 1.0)
    assert verdict.calibration_error == verdict.brier == 0.0
    assert (
        str(verdict) == "demo: right person marked in 100.0% of the turns, nobody marked in 100.0% of the rest, "
        "a second face in 0.0%, off-screen turns reported in 100.0%, calibration error 0.000"
    )


def test_a_wrong_or_no_primary_speaker_counts_against_identity() -> None:
    held = judge()
    for time, primary in ((2.0, 1), (2.5, 2), (3.0, None), (6.0, 2)):
        held.push(snapshot(time, primary))
    assert held.verdict().identity == 0.5


def test_the_first_half_second_of_a_turn_and_the_moment_after_it_are_not_judged() -> None:
    held = judge()
    for time in (1.0, 1.48, 4.1, 4.7, 9.4, 11.5):
        held.push(snapshot(time, None, marked=(1, 2)))
    verdict = held.verdict()
    assert verdict.identity is verdict.second is verdict.offscreen is verdict.calibration_error is None
    assert held.reliability() == []


def test_nothing_to_judge_is_reported() -> None:
    assert str(judge().verdict()) == "demo: too short to judge"


def test_a_second_marked_face_counts_in_turns_of_people_in_view_only() -> None:
    held = judge()
    for time, marked in ((2.0, (1,)), (2.5, (1, 2)), (3.0, ()), (6.0, (1, 2)), (10.0, (1, 2)), (0.2, (1, 2))):
        held.push(snapshot(time, None, marked=marked))
    assert held.verdict().second == 0.5


def test_an_off_screen_turn_given_to_a_face_is_neither_reported_nor_silent() -> None:
    held = judge()
    held.push(snapshot(10.0, None, state=SpeakingState.OFFSCREEN))
    held.push(snapshot(10.2, None))
    held.push(snapshot(10.4, 1))
    held.push(snapshot(10.6, 1))
    assert held.verdict().silence == held.verdict().offscreen * 2 == 0.5  # type: ignore[operator]


def test_scores_that_are_right_as_often_as_they_say_are_calibrated() -> None:
    calibrated, confident = judge(), judge()
    for k in range(10):
        for held, high, low in ((calibrated, 0.8, 0.2), (confident, 1.0, 0.0)):
            held.push(snapshot(2.0 + k / 25, 1, (high, low) if k < 8 else (low, high)))
    assert calibrated.verdict().calibration_error == pytest.approx(0.0, abs=1e-9)
    assert confident.verdict().calibration_error == pytest.approx(0.2)
    assert confident.verdict().brier == pytest.approx(0.2)
    first, last = calibrated.reliability()
    assert first == pytest.approx((10, 0.2, 0.2)) and last == pytest.approx((10, 0.8, 0.8))


def test_truth_lists_the_turns_of_people_in_view() -> None:
    truth = Truth((200, 100), TILES, TURNS).as_json()
    assert truth["tiles"] == [[0, 0, 100, 100], [100, 0, 100, 100]]
    assert truth["turns"] == [{"tile": 0, "start": 1.0, "end": 4.0}, {"tile": 1, "start": 5.0, "end": 8.0}]
    assert truth["offscreen"] == [{"start": 9.0, "end": 11.0}]


def test_everybody_has_an_activity_at_all_times_and_speaks_in_the_turns_given() -> None:
    for minute in (0, 7):
        turns = turns_of_minute(minute, people=3, seed=5, stop=1e9)
        for person in range(3):
            spans = spans_of_minute(minute, person, turns, seed=5)
            assert spans[0].start == minute * 60 and spans[-1].end == minute * 60 + 60
            assert all(a.end == b.start for a, b in pairwise(spans))
            spoken = [(s.start, s.end) for s in spans if s.activity == "speaking"]
            assert spoken == [(t.start, t.end) for t in turns if t.tile == person]
