"""The director: which changes of the speaker become cuts, when they are announced, and that no shot is too short."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speakerlight.core.decision.director import PRESETS, Director, DirectorSettings, Preset
from speakerlight.core.geometry import Box
from speakerlight.core.identities import Merge
from speakerlight.core.shot import NOBODY, WIDE, Candidate, Direction, Shot, close_up
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


@dataclass(frozen=True)
class Cut:
    time: float
    shot: Shot
    previous: Shot


def directed(
    *spans: tuple[float, Moment], settings: DirectorSettings = NORMAL, pinned: int | None = None, is_held: bool = False
) -> tuple[list[Cut], list[Candidate | None]]:
    """The cuts, and the announcements that do not end in one: None for one that is withdrawn."""
    director, before = Director(settings), Direction()
    cuts: list[Cut] = []
    candidates: list[Candidate | None] = []
    for each in snapshots(*spans):
        now = director.update(each, pinned, is_held=is_held)
        if now.shot != before.shot:
            cuts.append(Cut(each.time, now.shot, before.shot))
        elif now.candidate != before.candidate:
            candidates.append(now.candidate)
        before = now
    return cuts, candidates


def takeover_seconds(turn: float, pause: float = 0.0, settings: DirectorSettings = NORMAL) -> float:
    """How long the next speaker must talk, after a turn and a pause of so many seconds, to have talked more lately."""
    memory = settings.memory_seconds
    return memory * math.log(1 + (1 - math.exp(-turn / memory)) * math.exp(-pause / memory))


def test_a_turn_is_cut_to_once_its_speaker_has_talked_more_lately_and_is_announced_before() -> None:
    cuts, candidates = directed((2.0, speaking(1)), (3.0, speaking(2)))
    assert [(cut.shot, cut.previous) for cut in cuts] == [(close_up(1), NOBODY), (close_up(2), close_up(1))]
    assert cuts[0].time == pytest.approx(NORMAL.announce_seconds, abs=0.04)
    assert cuts[1].time == pytest.approx(2.0 + takeover_seconds(2.0), abs=0.06)
    for cut, candidate in zip(cuts, candidates, strict=True):
        assert candidate is not None and candidate.shot == cut.shot
        assert candidate.cut_time == pytest.approx(cut.time, abs=0.04)
        assert cut.time - candidate.time == pytest.approx(NORMAL.announce_seconds, abs=0.05)


def test_a_pause_lets_the_next_speaker_in_sooner() -> None:
    cuts, _ = directed((2.0, speaking(1)), (0.8, SpeakingState.SILENCE), (3.0, speaking(2)))
    expected = max(takeover_seconds(2.0, pause=0.8), NORMAL.announce_seconds)
    assert expected < takeover_seconds(2.0) - 0.1
    assert cuts[1].time == pytest.approx(2.8 + expected, abs=0.06)


def test_a_successor_is_announced_before_being_marked_and_cut_to_once_active() -> None:
    """Person 2 speaks at 2 s, with probability 0.3, and is the active speaker 0.5 s later."""
    director = Director()
    announced = cut = math.inf
    for each in snapshots((2.0, speaking(1)), (2.0, speaking(2))):
        if 2.0 <= each.time < 2.5:
            faces = tuple(replace(face, score=0.3 * face.score, speaking=False) for face in each.faces)
            each = replace(each, state=SpeakingState.UNDECIDED, primary=None, faces=faces)
        now = director.update(each)
        if now.candidate is not None and now.candidate.shot == close_up(2):
            announced = min(announced, each.time)
        if now.shot == close_up(2):
            cut = min(cut, each.time)
    assert announced < 2.5 <= cut


def test_an_excluded_person_is_never_announced() -> None:
    director = Director()
    for each in snapshots((2.0, speaking(1)), (3.0, speaking(2))):
        faces = tuple(replace(face, speaking=face.speaking and face.id != 2) for face in each.faces)
        state = each.state if each.primary == 1 else SpeakingState.UNDECIDED
        primary = each.primary if each.primary == 1 else None
        now = director.update(replace(each, faces=faces, state=state, primary=primary), excluded=frozenset({2}))
        assert now.candidate is None or now.candidate.shot == close_up(1)


def test_a_cough_or_a_word_is_no_cut_and_an_announced_one_is_withdrawn() -> None:
    cuts, candidates = directed((3.0, speaking(1)), (0.48, speaking(2)), (3.0, speaking(1)))
    assert [cut.shot for cut in cuts] == [close_up(1)]
    assert [candidate and candidate.shot for candidate in candidates] == [close_up(1), close_up(2), None]


def test_a_short_gap_in_a_new_turn_does_not_start_the_wait_again() -> None:
    cuts, _ = directed((3.0, speaking(1)), (0.2, speaking(2)), (0.12, SpeakingState.UNDECIDED), (2.0, speaking(2)))
    assert cuts[1].time == pytest.approx(3.12 + takeover_seconds(3.0), abs=0.08)


def test_a_name_that_outlives_a_cough_is_no_cut() -> None:
    """Person 2 coughs for 0.3 s and is named for half a second more, without speech."""
    director, quiet = Director(), replace_speech(snapshots((0.8, speaking(2))), after=0.3)
    for each in snapshots((3.0, speaking(1))):
        director.update(each)
    assert {director.update(replace(each, time=each.time + 3.0)).shot for each in quiet} == {close_up(1)}


def replace_speech(given: Iterator[Snapshot], after: float) -> Iterator[Snapshot]:
    return (replace(each, speech=0.0) if each.time >= after else each for each in given)


def test_undecided_speech_changes_nothing() -> None:
    cuts, _ = directed((2.0, speaking(1)), (6.0, SpeakingState.UNDECIDED))
    assert len(cuts) == 1


@pytest.mark.parametrize("state", [SpeakingState.SILENCE, SpeakingState.OFFSCREEN])
def test_lasting_silence_and_speech_out_of_view_end_the_shot(state: SpeakingState) -> None:
    cuts, _ = directed((2.0, speaking(1)), (1.5, state), (2.0, speaking(1)), (4.0, state))
    assert [cut.shot for cut in cuts] == [close_up(1), NOBODY]
    assert cuts[1].time == pytest.approx(5.5 + NORMAL.no_speaker_after_seconds, abs=0.04)


def test_several_who_go_on_speaking_widen_the_shot() -> None:
    cuts, _ = directed((2.0, speaking(1)), (0.5, speaking(1, 2)), (2.0, speaking(1)), (2.0, speaking(1, 2)))
    assert [cut.shot for cut in cuts] == [close_up(1), WIDE]
    assert cuts[1].time == pytest.approx(4.5 + NORMAL.together_seconds, abs=0.04)


def test_a_long_speech_gets_a_relief_shot_and_the_speaker_back() -> None:
    cuts, _ = directed((40.0, speaking(1)))
    assert [cut.shot for cut in cuts] == [close_up(1), WIDE, close_up(1)]
    assert cuts[1].time - cuts[0].time == pytest.approx(NORMAL.longest_seconds, abs=0.05)
    assert cuts[2].time - cuts[1].time == pytest.approx(NORMAL.relief_seconds + NORMAL.announce_seconds, abs=0.1)


def test_a_reaction_shot_shows_who_spoke_before() -> None:
    settings = DirectorSettings(has_reactions=True)
    cuts, _ = directed((5.0, speaking(2)), (35.0, speaking(1)), settings=settings)
    assert [cut.shot for cut in cuts] == [close_up(2), close_up(1), close_up(2), close_up(1)]


MOMENTS = [
    *(state for state in SpeakingState if state is not SpeakingState.SPEAKING),
    *map(speaking, (1, 2, 3)),
    speaking(1, 2),
    speaking(1, 2, 3),
]
some_spans = st.lists(st.tuples(st.floats(0.04, 5.0), st.sampled_from(MOMENTS)), max_size=30)
some_settings = st.sampled_from([each for p in PRESETS.values() for each in (p, replace(p, has_reactions=True))])
TICK = 0.04


@given(some_spans, some_settings)
def test_no_shot_is_shorter_than_the_presets_shortest(
    spans: list[tuple[float, Moment]], settings: DirectorSettings
) -> None:
    cuts, _ = directed(*spans, settings=settings)
    assert all(np.diff([cut.time for cut in cuts]) >= settings.shortest_seconds - 1e-6)
    assert all(cut.shot != cut.previous for cut in cuts)


@given(some_spans, some_settings)
def test_every_cut_is_announced_before_it_and_comes_no_earlier(
    spans: list[tuple[float, Moment]], settings: DirectorSettings
) -> None:
    director, announced = Director(settings), None
    shot = NOBODY
    for each in snapshots(*spans):
        now = director.update(each)
        if now.shot != shot:
            assert announced is not None and announced.shot == now.shot
            assert each.time >= announced.cut_time - TICK / 2 - 1e-6
            assert announced.cut_time - announced.time == pytest.approx(settings.announce_seconds)
        shot, announced = now.shot, now.candidate


@given(some_spans, st.floats(0.04, 0.48), some_settings)
def test_a_cough_or_a_one_word_answer_changes_no_cut(
    spans: list[tuple[float, Moment]], seconds: float, settings: DirectorSettings
) -> None:
    """Person 1 speaks for long; whatever interrupts now and then for at most ``seconds``, person 1 stays on air."""
    interrupted: list[tuple[float, Moment]] = [(3.0, speaking(1))]
    for _, moment in spans[:5]:
        if moment != speaking(1):
            interrupted += [(min(seconds, takeover_seconds(3.0, settings=settings) - TICK), moment), (3.0, speaking(1))]
    cuts, _ = directed(*interrupted, settings=replace(settings, longest_seconds=1000.0))
    assert [cut.shot for cut in cuts] == [close_up(1)]


@given(some_spans, some_settings)
def test_silence_speech_out_of_view_and_several_at_once_are_wide(
    spans: list[tuple[float, Moment]], settings: DirectorSettings
) -> None:
    """Whatever came before, the shot follows what lasts; undecided speech keeps it."""
    for lasting, expected in (
        (SpeakingState.SILENCE, NOBODY),
        (SpeakingState.OFFSCREEN, NOBODY),
        (speaking(1, 2), WIDE),
        (speaking(3), close_up(3)),
    ):
        seconds = settings.shortest_seconds + settings.relief_seconds + settings.no_speaker_after_seconds + 2.0
        cuts, _ = directed(*spans, (seconds, lasting), settings=replace(settings, longest_seconds=1000.0))
        assert (cuts[-1].shot if cuts else NOBODY) == expected


@given(some_spans, some_settings)
def test_no_person_is_on_air_for_longer_than_the_longest_shot(
    spans: list[tuple[float, Moment]], settings: DirectorSettings
) -> None:
    cuts, _ = directed(*spans, (3 * settings.longest_seconds, speaking(2)), settings=settings)
    after = [cut for cut in cuts if cut.shot == close_up(2)]
    ends = [next((c.time for c in cuts if c.time > cut.time), None) for cut in after]
    lengths = [end - cut.time for cut, end in zip(after, ends, strict=True) if end is not None]
    assert lengths and max(lengths) <= settings.longest_seconds + settings.announce_seconds + 2 * TICK


@given(some_spans, some_settings)
def test_a_pinned_person_stays_on_air_and_a_hold_freezes_the_shot(
    spans: list[tuple[float, Moment]], settings: DirectorSettings
) -> None:
    cuts, _ = directed((0.5, SpeakingState.SILENCE), *spans, settings=settings, pinned=2)
    assert [cut.shot for cut in cuts] == [close_up(2)]
    cuts, _ = directed(*spans, settings=settings, is_held=True)
    assert not cuts


def test_a_new_pin_is_cut_to_at_once() -> None:
    director = Director()
    pins = [None] * 20 + [2] + [3] * 54
    played = zip(snapshots((3.0, speaking(1))), pins, strict=True)
    shots = [director.update(each, pinned=pin).shot for each, pin in played]
    assert shots[19:22] == [close_up(1), close_up(2), close_up(3)]
    assert set(shots[21:]) == {close_up(3)}


def test_a_person_whose_id_changes_stays_on_air_without_a_cut() -> None:
    director = Director()
    *_, last = [director.update(each) for each in snapshots((2.0, speaking(3)))]
    assert last.shot == close_up(3)
    merged = [
        replace(each, merges=(Merge(3, 1),)) if k == 0 else each for k, each in enumerate(snapshots((2.0, speaking(1))))
    ]
    shots = [director.update(replace(each, time=each.time + 2.0)).shot for each in merged]
    assert set(shots) == {close_up(1)}
