"""Scene switching: how a session in front of OBS is judged, and a short one in front of the real OBS."""

from __future__ import annotations

from pathlib import Path

import pytest

from speakerlight.core.demo import ScriptedTurn
from speakerlight.core.geometry import Box
from speakerlight.core.shot import Direction, close_up
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState
from tests.benchmarks import obs
from tests.benchmarks.obs import ROOM, SCENES, Playing, Recorder, Switch, judged, played
from tests.benchmarks.peers import Gallery
from tests.stream.outputs.obs_studio import obs_studio

TILES = (Box(0, 0, 100, 100), Box(100, 0, 100, 100))
PERSON_OF_TILE = (2, 1)


def gallery(*turns: tuple[int, float, float]) -> Gallery:
    return Gallery("made up", "", TILES, tuple(ScriptedTurn(*turn) for turn in turns), 10.0)


def snapshots(*turns: tuple[int, float, float], seconds: float = 10.0) -> list[Snapshot]:
    """Person 2 in the first tile, person 1 in the second; who speaks is on air from the turn's beginning, and stays."""
    made, direction = [], Direction()
    for tick in range(round(25 * seconds)):
        time = tick / 25
        speaker = next((PERSON_OF_TILE[tile] for tile, start, end in turns if start <= time < end), None)
        faces = tuple(
            FaceScore(person, Box(100 * tile + 40, 40, 20, 20), float(person == speaker), person == speaker)
            for tile, person in enumerate(PERSON_OF_TILE)
        )
        state = SpeakingState.SILENCE if speaker is None else SpeakingState.SPEAKING
        direction = Direction(close_up(speaker)) if speaker is not None else direction
        made.append(Snapshot(tick, time, 1.0, faces, state, speaker, Lag(0.0, 1.0), direction=direction))
    return made


def test_what_is_on_air_is_judged_by_who_sits_where() -> None:
    turns = ((0, 0.0, 5.0), (1, 5.0, 9.0))
    recorder = Recorder()
    recorder.snapshots = snapshots(*turns)
    switches = [Switch(-1.0, ROOM), Switch(0.8, "Person 2"), Switch(5.5, "Person 1")]
    result = judged(gallery(*turns), recorder, switches)
    assert (result.right, result.cuts_a_turn, result.restart) == (1.0, 1.0, None)
    assert result.shortest == pytest.approx(4.7)
    late = judged(gallery(*turns), recorder, [Switch(-1.0, ROOM), Switch(0.8, "Person 2"), Switch(7.5, "Person 1")])
    assert late.right == pytest.approx(1 - 1.5 / 7, abs=0.01)


def test_a_restart_counts_from_the_first_answer_to_the_right_scene() -> None:
    turns = ((0, 0.0, 9.0),)
    recorder = Recorder()
    recorder.snapshots = snapshots(*turns)
    switches = [Switch(-1.0, "Person 2"), Switch(3.0, None), Switch(5.0, ROOM), Switch(6.5, "Person 2")]
    result = judged(gallery(*turns), recorder, switches)
    assert result.restart == pytest.approx(1.5, abs=0.05)
    assert result.right == pytest.approx(1 - 1.5 / 6, abs=0.01), "without an answer nothing can be wrong"


def test_turns_reach_the_real_obs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = ((0, 0.5, 4.0), (1, 4.5, 8.0))
    monkeypatch.setattr(obs, "_decided", lambda *_: snapshots(*turns))
    with obs_studio(tmp_path, SCENES) as studio:
        result = played(gallery(*turns), studio, Playing(is_decided=True))
    assert result.right > 0.8 and result.cuts == 2
