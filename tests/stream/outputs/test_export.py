"""Session export: whole files, final ids and names, saved now and then."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from speakerlight.core.errors import InputError
from speakerlight.core.events import Percentiles, SessionEvent
from speakerlight.core.identities import Merge
from speakerlight.outputs.export import SAVE_SECONDS, Export
from speakerlight.outputs.hub import OutputHub
from tests.stream.outputs.made import snapshot


def test_a_session_has_its_turns_under_final_ids_and_names(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    hub = OutputHub([Export(path)], pytest.fail)
    hub.event(SessionEvent("talk.mp4", None, "compact", "cpu"))
    for k in range(100):
        hub.snapshot(snapshot(k / 25, [3] if k < 50 else [1], people=[1, 3]))
    hub.snapshot(replace(snapshot(4.0, [], people=[1]), merges=(Merge(3, 2),), names={1: "Ada", 2: "Grace"}))
    hub.close(Percentiles())
    session = json.loads(path.read_text(encoding="utf-8"))
    assert (session["video"], session["model"], session["duration"]) == ("talk.mp4", "compact", 4.04)
    assert session["turns"] == [
        {"id": 2, "name": "Grace", "start": 0.0, "end": 2.0},
        {"id": 1, "name": "Ada", "start": 2.0, "end": 4.0},
    ]


def test_a_crash_loses_a_minute_at_most(tmp_path: Path) -> None:
    export = Export(tmp_path / "s.json")
    for k in range(round(SAVE_SECONDS * 2.5)):
        export.snapshot(snapshot(k, [1] if k % 10 < 5 else []))
    saved = json.loads((tmp_path / "s.json").read_text())
    assert saved["duration"] >= 1.5 * SAVE_SECONDS and len(saved["turns"]) >= 9


def test_a_run_without_a_tick_leaves_nothing(tmp_path: Path) -> None:
    Export(tmp_path / "s.vtt").close()
    assert list(tmp_path.iterdir()) == []


def test_a_bad_name_or_place_is_reported_before_the_run(tmp_path: Path) -> None:
    for name in ("s.doc", "s", "missing/s.json"):
        with pytest.raises(InputError, match="--export"):
            Export(tmp_path / name)


def test_rttm_is_another_option(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--rttm"):
        Export(tmp_path / "s.rttm")
