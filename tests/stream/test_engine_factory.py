"""Opening an engine: when the people encoders are loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from speakerlight.core.errors import InputError
from speakerlight.engine_factory import open_engine
from speakerlight.model_loading import Models, PeopleFiles, load_models
from speakerlight.run_settings import RunSettings


@pytest.fixture(scope="module")
def models() -> Models:
    try:
        return load_models(RunSettings())
    except InputError as error:
        pytest.skip(str(error))


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
