"""That the measuring works; what it measures is no test's business."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch

from speakerlight.core.demo import Verdict
from tests.benchmarks import demo, engine, fuzz
from tests.benchmarks.__main__ import COMMANDS, main
from tests.benchmarks.baseline import PlainExpert
from tests.benchmarks.measure import Case, Row, against, exactly, line, spread, take_turns, write_json
from tests.benchmarks.scene import model, plain_expert, scene
from tests.benchmarks.stages import model_stages

CPU = "cpu"


def test_cases_take_turns_and_begin_by_turns() -> None:
    calls: list[str] = []

    def called(name: str) -> Callable[[], object]:
        return lambda: calls.append(name)

    times = take_turns({"a": Case(called("a")), "b": Case(called("b"))}, rounds=2)

    assert calls[-4:] == ["a", "b", "b", "a"]
    assert {name: len(each) for name, each in times.items()} == {"a": 2, "b": 2}


def test_what_a_case_needs_first_is_not_timed_but_done() -> None:
    done: list[str] = []
    take_turns({"a": Case(lambda: done.append("call"), before=lambda: done.append("before"))}, rounds=1)
    assert done[-2:] == ["before", "call"]


def test_ratios_are_of_the_same_round() -> None:
    """A machine that is twice as slow in one round changes no ratio."""
    assert against([1.0, 2.0, 1.0], [5.0, 10.0, 5.0]) == exactly(5.0)


def test_a_row_is_one_line_and_one_json_object(tmp_path: Path) -> None:
    row = Row("stages", "encode", "expert", 8, spread([1.0, 2.0, 3.0]), "ms", exactly(10.0), exactly(5.0), "note")
    write_json(tmp_path / "rows.json", [row])
    written = json.loads((tmp_path / "rows.json").read_text())["rows"][0]
    assert (written["value"]["median"], written["ratio"]["median"], written["faces"]) == (2.0, 5.0, 8)
    assert "encode" in line(row) and "5.0×" in line(row) and "\n" not in line(row)


@pytest.mark.parametrize("name", ["compact", "expert"])
def test_every_stage_of_a_model_is_timed_and_set_against_the_plain_way(name: str) -> None:
    rows = {row.measure: row for row in model_stages(name, 1, CPU, rounds=1)}
    assert {"crop", "mel", "voice activity", "encode", "lag, evidence, turns", "turns", "scored tick"} == set(rows)
    assert all(row.value.median > 0 for row in rows.values())
    assert rows["scored tick"].ratio is not None and rows["scored tick"].baseline is not None


def test_the_plain_way_gives_the_engines_cosine() -> None:
    """Otherwise it would be a baseline of something else."""
    expert = model("expert", CPU)
    crop = scene(1).tracks(0, expert).crops[0]
    mel = torch.linspace(-4, 4, 16 * 80).reshape(16, 80).numpy()
    faces = expert.embed_faces(torch.from_numpy(crop)[None, None].expand(1, 5, *crop.shape))
    cosine = float((faces.vectors @ expert.embed_audio(mel[None]).T)[0, 0])
    assert PlainExpert(plain_expert(), CPU).score([crop] * 5, mel) == pytest.approx(cosine, abs=1e-2)


def test_a_failed_run_reports_the_reason() -> None:
    with pytest.raises(engine.RunFailedError, match="no such file"):
        engine.watch(["--video", "nowhere.mp4", "--audio", "none"])


def test_an_unknown_section_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["warp"]) == 2
    assert "choose from" in capsys.readouterr().err


def test_a_command_has_its_own_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0 and f"python -m tests.benchmarks {command}" in capsys.readouterr().out


def test_the_demo_command_judges_seeds_and_fails_on_a_missed_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = iter([Verdict(1.0, 1.0, 0.0, None, 0.01, 0.01), Verdict(0.9, 1.0, 0.0, 0.5, 0.01, 0.01)])
    monkeypatch.setattr(demo, "judged", lambda *_: next(verdicts))
    assert main(["demo", "--seeds", "0", "1"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("seed 0: right person marked in 100.0%")
    assert "identity           0.950  bar ≥ 0.97  missed" in lines and any(
        "offscreen          0.500" in x for x in lines
    )


def test_fuzzing_repeats_property_tests_with_other_seeds_and_stops_at_a_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "tests/stream/test_properties.py" in fuzz.property_files()
    results = iter([CompletedProcess([], 0, "..\n4 passed"), CompletedProcess([], 1, "Falsifying example")])
    monkeypatch.setattr("tests.benchmarks.fuzz.subprocess.run", lambda *_, **__: next(results))
    assert main(["fuzz", "--seed", "7"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["seed 7: 4 passed", "Falsifying example"]
    assert lines[2].startswith("seed 8 failed; repeat with:") and "--hypothesis-seed=8" in lines[2]


def test_the_first_overlay_is_seen_from_outside() -> None:
    seconds = engine.first_overlay_seconds(["--video", "demo:people=1"])
    assert 0.3 < seconds < 100, "no launch is faster than torch's import"


def test_a_launch_without_an_overlay_reports_the_reason() -> None:
    with pytest.raises(engine.RunFailedError, match="no such file"):
        engine.first_overlay_seconds(["--video", "nowhere.mp4", "--audio", "none"])
