"""Sessions without models, for tests of what is around them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from speakerlight import session
from speakerlight.control import Control
from speakerlight.engine import Engine
from speakerlight.run_settings import RunSettings
from tests.stream.standin import stand_in


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
        session, "load_models", lambda settings: SimpleNamespace(model=SimpleNamespace(name="none"), device="cpu")
    )
