"""Run settings: conflicts are reported in one line before anything is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from speakerlight.core.errors import InputError
from speakerlight.run_settings import RunSettings
from speakerlight.server.serve_settings import ServeSettings


def test_the_defaults_ask_for_nothing_special() -> None:
    settings = RunSettings()
    assert settings.video is None and settings.model == "compact" and settings.window and not settings.fast


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"device": "tpu"}, "--device tpu: use one of auto, cpu, cuda, mps"),
        ({"model": "expert"}, "lipsync_expert.pth"),
        ({"duration_seconds": 0.0}, "above 0"),
        ({"duration_seconds": float("nan")}, "above 0"),
        ({"duration_seconds": float("inf")}, "above 0"),
        ({"lag_ms": 90_000.0}, "--lag 90000: give auto, or -60000 to 60000 milliseconds"),
        ({"lag_ms": float("nan")}, "--lag nan"),
        ({"max_faces": 0}, "--max-faces 0"),
        ({"fast": True}, "--fast: name a file"),
        ({"video": "demo", "fast": True, "virtual_camera": True}, "--virtual-camera: the other program"),
        ({"serve": ServeSettings("127.0.0.1", 8000), "virtual_camera": True}, "--virtual-camera: with --serve"),
    ],
)
def test_wrong_values_are_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        RunSettings(**wrong)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_two_outputs_cannot_be_one_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--events .*: --rttm is written there too"):
        RunSettings(rttm=tmp_path / "a", events=str(tmp_path / "b" / ".." / "a"))
    RunSettings(rttm=tmp_path / "a", events="-", plot=tmp_path / "b.png")
