"""The director: which changes of the speaker become cuts, when they are announced, and that no shot is too short."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speakerlight.core.decision.director import (
    NOBODY,
    PRESETS,
    WIDE,
    Candidate,
    Cut,
    Director,
    DirectorSettings,
    Preset,
    close_up,
)
from speakerlight.core.geometry import Box
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState

NORMAL = PRESETS[Preset.NORMAL]
Moment = SpeakingState | frozenset[int]


def speaking(*people: int) -> frozenset[int]:
    return frozenset(people)


def snapshots(*spans: tuple[float, Moment]) -> Iterator[Snapshot]:
    """Each span: its seconds, and who speaks or the state. Persons 1 to 3 are in view."""
    tick = 0
    for seconds, moment in spans:
        for _ in range(round(25 * seconds)):
            people = moment if isinstance(moment, frozenset) else frozenset()
            state = SpeakingState.SPEAKING if isinstance(moment, frozenset) else moment
            faces = tuple(FaceScore(i, Box(100 * i, 0, 90, 90), float(i in people), i in people) for i in (1, 2, 3))
            primary = min(people, default=None)
            yield Snapshot(tick, tick / 25, float(bool(people)), faces, state, primary, Lag(0.0, 1.0))
            tick += 1


def directed(*spans: tuple[float, Moment], settings: DirectorSettings = NORMAL) -> tuple[list[Cut], list[Candidate]]:
    director = Director(settings)
    events = [event for each in snapshots(*spans) for event in director.update(each)]
    return [e for e in events if isinstance(e, Cut)], [e for e in events if isinstance(e, Candidate)]


def test_a_turn_is_cut_to_once_it_is_confirmed_and_announced_before() -> None:
    cuts, candidates = directed((2.0, speaking(1)), (3.0, speaking(2)))
    assert [(cut.shot, cut.previous) for cut in cuts] == [(close_up(1), NOBODY), (close_up(2), close_up(1))]
    assert cuts[0].time == pytest.approx(NORMAL.confirm_seconds, abs=0.04)
    assert cuts[1].time == pytest.approx(2.0 + NORMAL.confirm_seconds, abs=0.04)
    for cut, candidate in zip(cuts, candidates, strict=True):
        assert candidate.shot == cut.shot
        assert candidate.cut_time == pytest.approx(cut.time, abs=0.04)
        assert cut.time - candidate.time == pytest.approx(NORMAL.announce_seconds, abs=0.05)


def test_a_cough_or_a_word_is_no_cut_and_an_announced_one_is_withdrawn() -> None:
    cuts, candidates = directed((3.0, speaking(1)), (0.4, speaking(2)), (3.0, speaking(1)))
    assert [cut.shot for cut in cuts] == [close_up(1)]
    assert [candidate.shot for candidate in candidates] == [close_up(1), close_up(2), None]


def test_a_short_gap_in_a_new_turn_does_not_start_the_wait_again() -> None:
    cuts, _ = directed((3.0, speaking(1)), (0.3, speaking(2)), (0.12, SpeakingState.UNDECIDED), (2.0, speaking(2)))
    assert cuts[1].time == pytest.approx(3.0 + NORMAL.confirm_seconds, abs=0.04)


def test_undecided_speech_changes_nothing() -> None:
    cuts, _ = directed((2.0, speaking(1)), (6.0, SpeakingState.UNDECIDED))
    assert len(cuts) == 1


@pytest.mark.parametrize("state", [SpeakingState.SILENCE, SpeakingState.OFFSCREEN])
def test_lasting_silence_and_speech_out_of_view_end_the_shot(state: SpeakingState) -> None:
    cuts, _ = directed((2.0, speaking(1)), (1.5, state), (2.0, speaking(1)), (4.0, state))
    assert [cut.shot for cut in cuts] == [close_up(1), NOBODY]
    assert cuts[1].time == pytest.approx(5.5 + NORMAL.nobody_after_seconds, abs=0.04)


def test_several_who_go_on_speaking_widen_the_shot() -> None:
    cuts, _ = directed((2.0, speaking(1)), (0.5, speaking(1, 2)), (2.0, speaking(1)), (2.0, speaking(1, 2)))
    assert [cut.shot for cut in cuts] == [close_up(1), WIDE]
    assert cuts[1].time == pytest.approx(4.5 + NORMAL.together_seconds, abs=0.04)


def test_a_long_speech_gets_a_relief_shot_and_the_speaker_back() -> None:
    cuts, _ = directed((40.0, speaking(1)))
    assert [cut.shot for cut in cuts] == [close_up(1), WIDE, close_up(1)]
    assert cuts[1].time - cuts[0].time == pytest.approx(NORMAL.longest_seconds, abs=0.05)
    assert cuts[2].time - cuts[1].time == pytest.approx(NORMAL.relief_seconds + NORMAL.confirm_seconds, abs=0.1)


def test_a_reaction_shot_shows_who_spoke_before() -> None:
    settings = DirectorSettings(has_reactions=True)
    cuts, _ = directed((5.0, speaking(2)), (35.0, speaking(1)), settings=settings)
    assert [cut.shot for cut in cuts] == [close_up(2), close_up(1), close_up(2), close_up(1)]


@given(
    st.lists(
        st.tuples(
            st.floats(0.04, 5.0),
            st.sampled_from([*SpeakingState, *map(speaking, (1, 2, 3)), speaking(1, 2)]).filter(
                lambda moment: moment is not SpeakingState.SPEAKING
            ),
        ),
        max_size=30,
    ),
    st.sampled_from(list(Preset)),
)
def test_no_shot_is_shorter_than_the_presets_shortest(spans: list[tuple[float, Moment]], preset: Preset) -> None:
    settings = PRESETS[preset]
    cuts, candidates = directed(*spans, settings=settings)
    times = [cut.time for cut in cuts]
    assert all(np.diff(times) >= settings.shortest_seconds - 1e-6)
    assert all(cut.shot != cut.previous for cut in cuts)
    announced = {(candidate.shot, round(candidate.cut_time, 6)) for candidate in candidates}
    assert all(any(shot == cut.shot for shot, _ in announced) for cut in cuts)
