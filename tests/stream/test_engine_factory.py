"""Opening an engine: when the people encoders are loaded."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from speakerlight.control import Control
from speakerlight.core.errors import InputError
from speakerlight.core.events import Percentiles
from speakerlight.core.snapshot import Snapshot
from speakerlight.engine_factory import open_engine
from speakerlight.fast import run_fast
from speakerlight.model_loading import Models, PeopleFiles
from speakerlight.outputs.hub import OutputHub
from speakerlight.outputs.output import Output
from speakerlight.run_settings import RunSettings
from speakerlight.sources.demo import DemoReader


@pytest.fixture(params=["face", "voice"])
def damaged(request: pytest.FixtureRequest, models: Models, tmp_path: Path) -> Models:
    """Models of which one people file cannot be loaded."""
    if models.people is None:
        pytest.skip("the files of the people encoders are not there")
    (bad := tmp_path / "damaged").write_bytes(b"{}")
    changed = {"face": {"face_manifest": bad}, "voice": {"voice": bad}}[request.param]
    people: PeopleFiles = replace(models.people, **changed)
    return replace(models, people=people)


def test_an_engine_has_its_people_encoders_before_it_runs(damaged: Models) -> None:
    with pytest.raises(InputError, match="encoder"), open_engine(RunSettings(), damaged, has_audio=True):
        pytest.fail("the engine was opened without them")


def test_a_run_that_hurries_for_its_first_overlay_loads_them_later(damaged: Models) -> None:
    with open_engine(RunSettings(), damaged, has_audio=True, people_later=True) as engine:
        assert engine.memory is not None


def test_a_reset_forgets_the_people_of_a_run(models: Models) -> None:
    """Everybody in view has a new id from then on, and no name; all looks and voices are forgotten."""
    if models.people is None:
        pytest.skip("the files of the people encoders are not there")
    reset_at, settled_at = 5.0, 5.6
    reader = DemoReader("demo:people=2,seed=1")
    with open_engine(RunSettings(), models, has_audio=True) as engine:
        director = _Resetting(engine.control, reset_at)
        hub = OutputHub([director], pytest.fail)
        run_fast(reader, engine, hub, 9.0, threading.Event())
        hub.close(Percentiles())
        assert engine.memory is not None
        left = {person.id for person in engine.memory.save()}
    before = {face.id for each in director.snapshots if each.time < reset_at for face in each.faces}
    after = {face.id for each in director.snapshots if each.time > settled_at for face in each.faces}
    assert len(after) == 2 and not before & after
    assert left == after
    assert any("Ada" in each.names.values() for each in director.snapshots if each.time < reset_at)
    assert not any(each.names for each in director.snapshots if each.time > reset_at + 0.04)


class _Resetting(Output):
    """Names person 1 at once, and resets at ``time`` (seconds)."""

    option = "test"

    def __init__(self, control: Control, time: float) -> None:
        self._control, self._time = control, time
        self._control.execute({"type": "name", "id": 1, "name": "Ada"})
        self.snapshots: list[Snapshot] = []

    def snapshot(self, snapshot: Snapshot) -> None:
        if snapshot.time >= self._time and self._control.state.resets == 0:
            self._control.execute({"type": "reset"})
        self.snapshots.append(snapshot)
