"""The models, loaded once for all tests; sessions with a stand-in engine instead of models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from speakerlight import session
from speakerlight.control import Control
from speakerlight.core.errors import InputError
from speakerlight.engine import Engine
from speakerlight.model_loading import Models, load_models
from speakerlight.run_settings import RunSettings
from tests.stream.standin import stand_in


@pytest.fixture(scope="session")
def models() -> Models:
    """What ``run_live.py`` loads by default."""
    try:
        return load_models(RunSettings())
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions get the stand-in engine."""

    @contextmanager
    def engine(
        settings: RunSettings, models: Any, *, has_audio: bool, control: Control, **_: object
    ) -> Iterator[Engine]:
        yield replace(stand_in(has_audio), control=control)

    monkeypatch.setattr(session, "open_engine", engine)
    monkeypatch.setattr(
        session,
        "load_process_models",
        lambda settings: SimpleNamespace(model=SimpleNamespace(name="none"), device="cpu"),
    )
