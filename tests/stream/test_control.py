"""Control: commands from several threads, their events, and the scorer that follows them."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

from speakerlight.control import Control
from speakerlight.core.decision.commands import ControlState
from speakerlight.core.decision.director import DirectorSettings
from speakerlight.core.errors import InputError
from speakerlight.core.events import ControlEvent
from speakerlight.core.geometry import Box
from speakerlight.core.identities import Merge
from speakerlight.core.shot import NOBODY, close_up
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState
from speakerlight.steered_scorer import SteeredScorer


def snapshot(time: float, speaker: int) -> Snapshot:
    faces = tuple(FaceScore(i, Box(100 * i, 0, 80, 80), float(i == speaker), i == speaker) for i in (1, 2))
    return Snapshot(round(25 * time), time, 1.0, faces, SpeakingState.SPEAKING, speaker, Lag(0.0, 1.0))


class Playing:
    """A scorer with a snapshot for each call."""

    def __init__(self, *snapshots: Snapshot) -> None:
        self._left = list(snapshots)
        self.lags: list[float | None] = []

    def set_lag(self, lag_ms: float | None) -> None:
        self.lags.append(lag_ms)

    def push_tracks(self, frame_tracks: object) -> None: ...

    def push_audio(self, chunks: object) -> None: ...

    def advance(self, stride: int = 1) -> list[Snapshot]:
        return [self._left.pop(0)]

    def finish(self) -> list[Snapshot]:
        return self._left


def test_a_command_counts_from_the_next_tick_and_everyone_gets_its_event() -> None:
    control, first, second = Control(), list[ControlEvent](), list[ControlEvent]()
    control.subscribe(first.append)
    leave = control.subscribe(second.append)
    scorer = SteeredScorer(Playing(snapshot(1.0, 1), snapshot(1.04, 1), snapshot(1.08, 2)), control, DirectorSettings())
    assert scorer.advance()[0].primary == 1
    given = control.execute({"type": "exclude", "id": 1, "on": True})
    assert given == ControlEvent(1.0, {"type": "exclude", "id": 1, "on": True})
    assert json.loads(given.to_json()) == {
        "type": "control",
        "time": 1.0,
        "command": {"type": "exclude", "id": 1, "on": True},
    }
    leave()
    control.execute({"type": "release"})
    assert (len(first), len(second)) == (2, 1)
    assert scorer.advance()[0].primary is None
    assert [each.primary for each in scorer.finish()] == [2]


def test_a_hold_freezes_who_was_primary_when_it_was_given() -> None:
    control = Control()
    scorer = SteeredScorer(
        Playing(snapshot(10.0, 1), snapshot(10.5, 2), snapshot(11.5, 2)), control, DirectorSettings()
    )
    scorer.advance()
    control.execute({"type": "hold", "seconds": 1})
    held = [*scorer.advance(), *scorer.finish()]
    assert [each.primary for each in held] == [1, 2]
    assert control.state.hold_until == 11.0


def test_a_lag_reaches_the_scorer_once_before_its_next_tick() -> None:
    control = Control()
    playing = Playing(*(snapshot(tick / 25, 1) for tick in range(5)))
    scorer = SteeredScorer(playing, control, DirectorSettings())
    scorer.advance()
    for lag_ms in (120, None, None):
        control.execute({"type": "lag", "milliseconds": lag_ms})
        scorer.advance()
    scorer.advance()
    assert playing.lags == [120, None, None], "estimated anew, although it was estimated before"


def test_a_command_that_is_refused_changes_nothing_and_is_no_event() -> None:
    control, events = Control(), list[ControlEvent]()
    control.subscribe(events.append)
    before = control.state
    with pytest.raises(InputError):
        control.execute({"type": "pin", "id": 0})
    assert control.state is before and not events


def test_commands_of_many_threads_all_count() -> None:
    control = Control()
    threads = [
        threading.Thread(target=control.execute, args=({"type": "exclude", "id": i, "on": True},)) for i in range(1, 33)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert control.state.excluded == frozenset(range(1, 33))


def test_views_and_scene_switchers_get_one_shot_which_follows_the_pin() -> None:
    control = Control()
    scorer = SteeredScorer(Playing(*(snapshot(tick / 25, 1) for tick in range(100))), control, DirectorSettings())
    assert {each.direction.shot for each in scorer.finish()} == {NOBODY, close_up(1)}
    pinned = Control()
    pinned.execute({"type": "pin", "id": 2})
    scorer = SteeredScorer(Playing(*(snapshot(tick / 25, 1) for tick in range(100))), pinned, DirectorSettings())
    assert scorer.finish()[-1].direction.shot == close_up(2)


def test_name_pin_and_exclusion_go_over_to_the_person_whom_an_id_turned_out_to_be() -> None:
    control, events = Control(), list[ControlEvent]()
    for command in (
        {"type": "name", "id": 2, "name": "Ada"},
        {"type": "pin", "id": 2},
        {"type": "exclude", "id": 2, "on": True},
    ):
        control.execute(command)
    control.subscribe(events.append)
    merged = replace(snapshot(1.0, 1), merges=(Merge(2, 1),))
    scorer = SteeredScorer(Playing(merged, snapshot(1.04, 1)), control, DirectorSettings())
    shown = scorer.advance()[0]
    assert (shown.names, shown.primary) == ({1: "Ada"}, None)
    assert control.state == ControlState(names={1: "Ada"}, pinned=1, excluded=frozenset({1}))
    assert [event.command["type"] for event in events] == ["name", "name", "exclude", "exclude", "pin"]
    scorer.advance()
    assert len(events) == 5


def test_a_name_of_the_person_who_stays_is_kept_by_a_merge() -> None:
    control = Control()
    control.execute({"type": "name", "id": 1, "name": "Ada"})
    control.execute({"type": "name", "id": 2, "name": "Someone"})
    control.follow([Merge(2, 1)])
    assert control.state == ControlState(names={1: "Ada"})


def test_a_hold_goes_over_to_the_person_whom_an_id_turned_out_to_be() -> None:
    control = Control()
    held = [snapshot(1.0, 2), snapshot(1.04, 1), replace(snapshot(1.08, 1), merges=(Merge(2, 1),))]
    scorer = SteeredScorer(Playing(*held), control, DirectorSettings())
    scorer.advance()
    control.execute({"type": "hold", "seconds": None})
    assert [each.primary for each in scorer.finish()] == [2, 1]
