"""Commands: what each changes, what is refused, and how they steer snapshots."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from speakerlight.core.decision.commands import SCHEMA, ControlState, Steering
from speakerlight.core.errors import InputError
from speakerlight.core.framing import View
from speakerlight.core.geometry import Box
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)

COMMANDS: list[dict[str, Any]] = [
    {"type": "name", "id": 3, "name": "Ada"},
    {"type": "pin", "id": 3},
    {"type": "pin", "id": None},
    {"type": "exclude", "id": 2, "on": True},
    {"type": "exclude", "id": 2, "on": False},
    {"type": "ignore", "region": [0, 0, 100, 50.5]},
    {"type": "ignore", "region": None},
    {"type": "hold", "seconds": 5},
    {"type": "hold", "seconds": None},
    {"type": "release"},
    {"type": "sensitivity", "score": 0.7},
    {"type": "view", "view": "split"},
    {"type": "lag", "milliseconds": -120.5},
    {"type": "lag", "milliseconds": None},
    {"type": "reset"},
    {"type": "record", "on": False},
]


def snapshot(time: float, *speaking: int, primary: int | None = None, scores: tuple[float, ...] = ()) -> Snapshot:
    given_scores = dict(enumerate(scores, 1))
    faces = tuple(
        FaceScore(i, Box(100 * i, 0, 80, 80), given_scores.get(i, 0.9 if i in speaking else 0.05), i in speaking)
        for i in (1, 2, 3)
    )
    chosen = primary if primary is not None else min(speaking, default=None)
    state = SpeakingState.SILENCE if chosen is None else SpeakingState.SPEAKING
    return Snapshot(round(25 * time), time, float(bool(speaking)), faces, state, chosen, Lag(0.0, 1.0))


def after(*commands: dict[str, Any], time: float = 0.0) -> ControlState:
    state = ControlState()
    for command in commands:
        state = state.after(command, time)
    return state


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_every_command_is_accepted_and_is_in_the_schema(command: dict[str, Any]) -> None:
    jsonschema.validate(command, SCHEMA)
    assert isinstance(ControlState().after(command, 1.0), ControlState)


def test_the_commands_add_up() -> None:
    state = after(*COMMANDS[:4], COMMANDS[5], COMMANDS[7], COMMANDS[10], COMMANDS[11], COMMANDS[12], time=2.0)
    assert state == ControlState(
        names={3: "Ada"},
        excluded=frozenset({2}),
        ignored_regions=(Box(0, 0, 100, 50.5),),
        hold_until=7.0,
        sensitivity=0.7,
        view=View.SPLIT,
        lag_ms=-120.5,
        lag_commands=1,
    )
    assert state.after({"type": "hold", "seconds": None}, 0.0).hold_until == math.inf
    assert state.after({"type": "name", "id": 3, "name": " \n"}, 0.0).names == {}
    reset = state.after({"type": "reset"}, 0.0)
    assert (reset.names, reset.excluded, reset.resets) == ({}, frozenset(), 1)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["type", "id", "name", "on", "seconds", "region", "score", "view"]), JSON))
def test_anything_else_is_one_line(command: dict[str, Any]) -> None:
    try:
        ControlState().after(command, 0.0)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        jsonschema.validate(command, SCHEMA)


@pytest.mark.parametrize("command", COMMANDS, ids=str)
@pytest.mark.parametrize("change", [{"more": 1}, {"id": True}, {"type": "quit"}, {"type": None}], ids=str)
def test_what_the_schema_refuses_is_refused(command: dict[str, Any], change: dict[str, Any]) -> None:
    changed = command | change
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(changed, SCHEMA)
    with pytest.raises(InputError):
        ControlState().after(changed, 0.0)


def test_an_excluded_person_is_never_primary_and_the_next_one_is() -> None:
    control = after({"type": "exclude", "id": 1, "on": True})
    both = Steering().steer(snapshot(0.0, 1, 2, primary=1), control)
    assert (both.primary, both.state) == (2, SpeakingState.SPEAKING)
    alone = Steering().steer(snapshot(0.0, 1), control)
    assert (alone.primary, alone.state) == (None, SpeakingState.UNDECIDED)
    assert not any(face.speaking for face in alone.faces)


def test_a_face_in_an_ignored_region_is_not_there() -> None:
    steered = Steering().steer(snapshot(0.0, 1), after({"type": "ignore", "region": [90, 0, 100, 100]}))
    assert [face.id for face in steered.faces] == [2, 3]
    assert steered.primary is None


def test_a_hold_freezes_the_primary_until_its_time_or_its_release() -> None:
    steering, control = Steering(), after({"type": "hold", "seconds": 2}, time=1.0)
    steering.steer(snapshot(0.96, 1), ControlState())
    moments = [(1.0, 2), (1.5, 2), (2.9, 3), (3.1, 3)]
    assert [steering.steer(snapshot(time, who), control).primary for time, who in moments] == [1, 1, 1, 3]
    control = control.after({"type": "hold", "seconds": None}, 4.0)
    assert [steering.steer(snapshot(time, who), control).primary for time, who in ((4.0, 2), (99.0, 1))] == [3, 3]
    silent = steering.steer(snapshot(99.5), control)
    assert (silent.primary, silent.state) == (3, SpeakingState.SPEAKING)
    assert steering.steer(snapshot(100.0, 2), control.after({"type": "release"}, 100.0)).primary == 2


def test_sensitivity_takes_marks_that_are_unsure() -> None:
    unsure = snapshot(0.0, 1, 2, primary=1, scores=(0.6, 0.8, 0.1))
    assert Steering().steer(unsure, after({"type": "sensitivity", "score": 0.7})).primary == 2
    assert Steering().steer(unsure, after({"type": "sensitivity", "score": 0.9})).primary is None


def test_without_commands_a_snapshot_stays_as_it_is() -> None:
    each = snapshot(0.0, 2)
    assert Steering().steer(each, ControlState()) == each


def test_names_given_by_command_are_the_snapshots() -> None:
    steered = Steering().steer(snapshot(0.0, 2), after({"type": "name", "id": 2, "name": "Ada"}))
    assert steered.names == {2: "Ada"}


def test_the_best_guess_stays_primary_unless_a_command_forbids_it() -> None:
    """A primary speaker that is named but not marked yet, as at the beginning of every turn."""
    decided = snapshot(0.0, primary=2, scores=(0.1, 0.4, 0.1))
    guess = replace(decided, state=SpeakingState.SPEAKING)
    assert Steering().steer(guess, ControlState()) == guess
    assert Steering().steer(guess, after({"type": "exclude", "id": 1, "on": True})).primary == 2
    for command in ({"type": "exclude", "id": 2, "on": True}, {"type": "sensitivity", "score": 0.5}):
        steered = Steering().steer(guess, after(command))
        assert (steered.primary, steered.state) == (None, SpeakingState.UNDECIDED)


def test_a_command_with_wrong_fields_is_refused_unlike_an_unknown_one() -> None:
    refused: dict[str, dict[str, Any]] = {"pin takes id": {"type": "pin"}}
    refused |= {"exclude takes id and on": {"type": "exclude", "id": 1, "on": 1}}
    refused |= {"release takes no field": {"type": "release", "id": 1}, "unknown command": {"type": "quit"}}
    for message, command in refused.items():
        with pytest.raises(InputError, match=message):
            after(command)
