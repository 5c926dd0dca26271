"""The caller's environment: a run and its outputs are the same in a poor one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from speakerlight.caller_environment import without_matplotlib_backend
from speakerlight.core.errors import InputError
from tests.stream.sources.conftest import Clip

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cache() -> dict[str, str]:
    """Where the models lie, which a poor environment would not know."""
    from speakerlight.core.models.compact_loading import load_compact
    from speakerlight.model_cache import fetch
    from speakerlight.model_files import BLAZEFACE_SHORT

    try:
        file = fetch(BLAZEFACE_SHORT)
        load_compact("cpu")
    except InputError as error:
        pytest.skip(str(error))
    return {"SPEAKERLIGHT_CACHE": str(file.parent)}


def test_the_backend_is_there_again_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "nonsense")
    with without_matplotlib_backend():
        assert "MPLBACKEND" not in os.environ
    assert os.environ["MPLBACKEND"] == "nonsense"


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
def test_names_that_are_no_utf8_nonsense_backends_and_a_missing_home_do_not_matter(
    tmp_path: Path, cache: dict[str, str]
) -> None:
    name = os.fsdecode(b"Bj\xf6rk")
    clip = Clip().write(tmp_path / "clip.mkv").rename(tmp_path / f"{name}.mkv")
    options = {"--events": "jsonl", "--rttm": "rttm", "--plot": "png", "--output": "mp4", "--save-faces": "faces"}
    outputs = [text for option, suffix in options.items() for text in (option, str(tmp_path / f"{name}.{suffix}"))]
    command = [sys.executable, str(ROOT / "run_live.py"), "--video", str(clip), "--fast", "--no-window", *outputs]
    (tmp_path / "tmp").mkdir()
    poor = {"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii", "MPLBACKEND": "nonsense", **cache}
    poor |= {"HOME": "/proc/none", "XDG_CACHE_HOME": "/proc/none", "TMPDIR": str(tmp_path / "tmp")}
    ended = subprocess.run(command, env=poor, cwd="/proc", capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert "atplotlib" not in ended.stderr and not any((tmp_path / "tmp").iterdir())
    events = [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text("utf-8").splitlines()]
    assert events[0]["video"] == str(clip) and events[-1]["type"] == "summary"
    assert (tmp_path / f"{name}.rttm").exists() and (tmp_path / f"{name}.mp4").stat().st_size > 1000
    plot = np.frombuffer((tmp_path / f"{name}.png").read_bytes(), np.uint8)
    assert cv2.imdecode(plot, cv2.IMREAD_COLOR) is not None


@pytest.mark.skipif(sys.platform == "win32", reason="no shell to close streams with")
def test_closed_standard_streams_get_nothing_and_break_nothing(tmp_path: Path, cache: dict[str, str]) -> None:
    clip = Clip().write(tmp_path / "clip.mkv")
    log = tmp_path / "e.jsonl"
    command = [sys.executable, str(ROOT / "run_live.py"), "--video", str(clip), "--fast", "--no-window"]
    environment = {**os.environ, **cache}

    def run(target: str) -> int:
        line = ["bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash", *command, "--events", target]
        return subprocess.run(line, env=environment, timeout=120).returncode

    assert run(str(log)) == 0
    assert json.loads(log.read_text().splitlines()[-1])["type"] == "summary"
    assert run("-") == 2


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on memory here")
def test_a_limit_on_memory_is_named_where_it_may_be_why(tmp_path: Path) -> None:
    command = 'ulimit -v 900000; exec "$0" "$1" --fast --no-window --video "$2"'
    for video, named in (("demo", True), (tmp_path / "none.mkv", False)):
        given = ["bash", "-c", command, sys.executable, str(ROOT / "run_live.py"), str(video)]
        ended = subprocess.run(given, capture_output=True, text=True, timeout=120)
        lines = [line for line in ended.stderr.splitlines() if line.startswith("run_live.py: ")]
        assert ended.returncode in (1, 2) and len(lines) == 1
        assert ("ulimit -v" in lines[0]) == named
