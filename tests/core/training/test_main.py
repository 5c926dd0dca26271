from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from speakerlight.core.models.compact_loading import load_compact
from speakerlight.core.models.compact_network import CompactSyncNet, load_network
from speakerlight.core.training.__main__ import main


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["speakerlight.core.training", *map(str, arguments)])
    return main()


def test_export_writes_the_running_mean_of_a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    torch.save({"average": CompactSyncNet().state_dict()}, tmp_path / "state.pt")
    output = tmp_path / "model.safetensors"
    assert run(monkeypatch, "export", "--run", tmp_path, "--output", output, "--card", "data=none", "note=a=b") == 0
    assert load_compact("cpu", output).name == "compact"


def test_export_writes_the_mean_of_several_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    weights = [CompactSyncNet().state_dict() for _ in range(2)]
    for name, each in zip("ab", weights, strict=True):
        (tmp_path / name).mkdir()
        torch.save({"average": each}, tmp_path / name / "state.pt")
    output = tmp_path / "model.safetensors"
    assert run(monkeypatch, "export", "--run", tmp_path / "a", tmp_path / "b", "--output", output) == 0
    network, _ = load_network(output)
    for name, mean in network.state_dict().items():
        expected = (weights[0][name].float() + weights[1][name].float()) / 2
        torch.testing.assert_close(mean.float(), expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("train --clips {0} --run {0}/run --detector {0}/none --cache {0}/cache", "no clips"),
        ("evaluate --clips {0}/none --detector {0}/none --cache {0}/cache", "no folder"),
        ("evaluate --clips {0} --groups {0}/none --detector {0}/none --cache {0}/cache", "no list of groups"),
        ("export --run {0}/none --output {0}/out", "no training run"),
    ],
)
def test_missing_input_is_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: str,
    complaint: str,
) -> None:
    assert run(monkeypatch, *(part.format(tmp_path) for part in arguments.split())) == 2
    reported = capsys.readouterr().err
    assert complaint in reported and reported.count("\n") == 1


def test_a_card_without_a_value_is_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state.pt").write_bytes(b"")
    assert run(monkeypatch, "export", "--run", tmp_path, "--card", "steps") == 2
    assert "KEY=VALUE" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--start", "--align"])
def test_a_wrong_path_to_earlier_weights_is_reported_before_clips_are_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    (tmp_path / "single").mkdir()
    wrong, detector = tmp_path / "wrong", tmp_path / "detector"
    paths = ("--clips", tmp_path, "--run", tmp_path / "run", "--detector", detector, "--cache", tmp_path / "cache")
    assert run(monkeypatch, "train", *paths, option, wrong) == 2
    reported = capsys.readouterr().err
    assert "wrong" in reported and reported.count("\n") == 1
    assert not (tmp_path / "cache").exists()
