from __future__ import annotations

from itertools import pairwise

from speakerlight.core.demo.judge import Judge
from speakerlight.core.demo.script import Truth, Turn, spells_of_minute, turns_of_minute
from speakerlight.core.geometry import Box
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState

TILES = (Box(0, 0, 100, 100), Box(100, 0, 100, 100))
TURNS = (Turn(0, 1.0, 4.0), Turn(1, 5.0, 8.0), Turn(None, 9.0, 11.0))


def judge() -> Judge:
    return Judge(TILES, lambda start, end: [t for t in TURNS if t.start < end and t.end > start])


def snapshot(time: float, primary: int | None) -> Snapshot:
    faces = tuple(FaceScore(i + 1, Box(100.0 * i + 30, 30, 40, 40), 0.5, False) for i in range(2))
    state = SpeakingState.SPEAKING if primary else SpeakingState.SILENCE
    return Snapshot(round(time * 25), time, 1.0, faces, state, primary, Lag(0, 1))


def test_the_right_person_in_every_turn_and_nobody_between_is_perfect() -> None:
    held = judge()
    for tick in range(300):
        time = tick / 25
        held.push(
            snapshot(time, next((t.tile + 1 for t in TURNS if t.start <= time < t.end and t.tile is not None), None))
        )
    assert held.verdict().identity == held.verdict().silence == 1.0
    assert (
        str(held.verdict())
        == "demo: right person marked in 100.0% of the turns' time, nobody marked in 100.0% of the silence"
    )


def test_the_wrong_person_or_nobody_counts_against_it() -> None:
    held = judge()
    for time, primary in ((2.0, 1), (2.5, 2), (3.0, None), (6.0, 2)):
        held.push(snapshot(time, primary))
    assert held.verdict().identity == 0.5


def test_nothing_is_asked_in_a_turns_first_half_second_and_just_after_its_end() -> None:
    held = judge()
    for time in (1.0, 1.48, 4.1, 4.7):
        held.push(snapshot(time, None))
    assert held.verdict().identity is held.verdict().silence is None
    assert str(held.verdict()) == "demo: too short to judge"


def test_a_voice_from_off_screen_is_nobody_in_the_picture() -> None:
    held = judge()
    held.push(snapshot(10.0, None))
    held.push(snapshot(10.5, 1))
    assert held.verdict().silence == 0.5


def test_truth_tells_turns_of_the_people_in_the_picture() -> None:
    told = Truth((200, 100), TILES, TURNS).as_json()
    assert told["tiles"] == [[0, 0, 100, 100], [100, 0, 100, 100]]
    assert told["turns"] == [{"tile": 0, "start": 1.0, "end": 4.0}, {"tile": 1, "start": 5.0, "end": 8.0}]
    assert told["offscreen"] == [{"start": 9.0, "end": 11.0}]


def test_everybody_is_at_something_all_the_time_and_speaks_in_the_turns_given() -> None:
    for minute in (0, 7):
        turns = turns_of_minute(minute, people=3, seed=5, stop=1e9)
        for person in range(3):
            spells = spells_of_minute(minute, person, turns, seed=5)
            assert spells[0].start == minute * 60 and spells[-1].end == minute * 60 + 60
            assert all(a.end == b.start for a, b in pairwise(spells))
            spoken = [(s.start, s.end) for s in spells if s.doing == "speaking"]
            assert spoken == [(t.start, t.end) for t in turns if t.tile == person]
