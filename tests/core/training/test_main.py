from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from speakerlight.core.demo import talking_clip
from speakerlight.core.media import Image, Samples
from speakerlight.core.models.checkpoint import load_safetensors
from speakerlight.core.models.compact import WEIGHTS_FILE
from speakerlight.core.models.compact_loading import load_compact
from speakerlight.core.models.compact_network import CompactSyncNet, load_network
from speakerlight.core.models.speech_head import load_speech_head
from speakerlight.core.timebase import SAMPLE_RATE, TICK_RATE
from speakerlight.core.training import __main__ as main_module
from speakerlight.core.training import dataset, speech
from speakerlight.core.training.__main__ import main
from speakerlight.core.training.loop import TrainingSettings
from tests.core.faces.blazeface import blazeface

PEOPLE, SECONDS = 10, 3.0


@dataclass(frozen=True)
class SmallBatches(TrainingSettings):
    talking: int = 6
    idle: int = 2


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
        ("speech --clips {0} --output {0}/out", "no clips"),
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


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of training clips: ten people of the demo in ``people``, one of whom is shown without audio, too."""
    folder = tmp_path_factory.mktemp("clips")
    (folder / "people").mkdir()
    for seed in range(PEOPLE):
        images, samples = talking_clip(seed, SECONDS)
        write_clip(folder / "people" / f"{seed}.mov", images, samples)
    write_clip(folder / "people" / "mute.mov", images, None)
    return folder


@pytest.fixture(scope="module")
def prepared(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str | Path, ...]:
    """Options of a command that reads the clips. Their crops are made by the first one."""
    return "--detector", blazeface(), "--cache", tmp_path_factory.mktemp("cache")


def write_clip(path: Path, images: list[Image], samples: Samples | None) -> None:
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=TICK_RATE)
        video.height, video.width = images[0].shape[:2]
        video.bit_rate = 4_000_000
        if samples is not None:
            audio = container.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono")
            frame = av.AudioFrame.from_ndarray((samples[None] * 32767).astype(np.int16), format="s16", layout="mono")
            frame.sample_rate = SAMPLE_RATE
            container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
        for image in images:
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(video.encode(None))


def test_evaluate_reports_the_clips_that_can_be_used_and_their_groups(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    clips: Path,
    prepared: tuple[str | Path, ...],
    tmp_path: Path,
) -> None:
    groups = tmp_path / "groups.csv"
    groups.write_text("file,person,groups\n" + "".join(f"{k}.mov,{k},drawn\n" for k in range(PEOPLE)))
    assert run(monkeypatch, "evaluate", "--clips", clips / "people", "--groups", groups, *prepared) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["clips"] == PEOPLE, "all but the one without audio"
    assert found["offset within a frame, 2 s"] > 0.5, "chance is 0.14"
    assert found["true cosine"] > found["frozen cosine"]
    assert found["groups"]["all"]["people"] == found["groups"]["drawn"]["people"] == PEOPLE


def test_decision_weights_are_fitted_on_conversations_of_the_clips(
    monkeypatch: pytest.MonkeyPatch, clips: Path, prepared: tuple[str | Path, ...], tmp_path: Path
) -> None:
    monkeypatch.setattr(main_module, "demo_examples", lambda detector: [])
    output = tmp_path / "decision.safetensors"
    small = "--conversations", "48", "--steps", "2", "--like", "expert", "--output", output
    assert run(monkeypatch, "decision", "--clips", clips, *small, *prepared) == 0
    weights, card = load_safetensors(output)
    assert card["people"] == str(PEOPLE) and card["like"] == "expert"
    assert all(np.isfinite(values).all() for values in weights.values())


def test_a_speech_head_is_fitted_on_the_clips(monkeypatch: pytest.MonkeyPatch, clips: Path, tmp_path: Path) -> None:
    monkeypatch.setattr(speech, "_STEPS", 20)
    output = tmp_path / "speech.safetensors"
    assert run(monkeypatch, "speech", "--clips", clips, "--output", output) == 0
    assert np.isfinite(load_speech_head(output).hidden).all()
    assert load_safetensors(output)[1] == {"recordings": str(6 * PEOPLE)}, "all but the one without audio"


def test_training_runs_on_the_clips_and_its_weights_can_be_exported(
    monkeypatch: pytest.MonkeyPatch, clips: Path, prepared: tuple[str | Path, ...], tmp_path: Path
) -> None:
    monkeypatch.setattr(main_module, "TrainingSettings", SmallBatches)
    monkeypatch.setattr(dataset, "_DEMO_PEOPLE", 2)
    monkeypatch.setattr(dataset, "_DEMO_SECONDS", SECONDS)
    steps = "--run", tmp_path / "run", "--steps", "1", "--align", WEIGHTS_FILE, "--start", WEIGHTS_FILE
    assert run(monkeypatch, "train", "--clips", clips, *steps, *prepared) == 0
    assert run(monkeypatch, "export", "--run", tmp_path / "run", "--output", tmp_path / "weights.safetensors") == 0
    assert load_compact("cpu", tmp_path / "weights.safetensors").name == "compact"
