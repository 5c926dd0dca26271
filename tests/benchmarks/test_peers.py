"""The peer's input format and network, on random weights, and what is counted of both contestants."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from speakerlight.core.demo.script import ScriptedTurn
from speakerlight.core.errors import InputError
from speakerlight.core.geometry import Box
from speakerlight.core.media import Samples
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState
from tests.benchmarks import peers
from tests.benchmarks.__main__ import main
from tests.benchmarks.lr_asd import SIDE, LrAsd, crop, mfcc
from tests.benchmarks.peers import demo_gallery, line, peer, read_gallery


def random_weights() -> Iterator[tuple[str, torch.Tensor]]:
    """A state dict in the published form."""

    def norm(name: str, channels: int) -> Iterator[tuple[str, torch.Tensor]]:
        for part in ("weight", "running_var"):
            yield f"{name}.{part}", torch.rand(channels) + 0.5
        for part in ("bias", "running_mean"):
            yield f"{name}.{part}", torch.rand(channels) * 0.1

    def steps(encoder: str, first: str, kernels: dict[str, tuple[int, ...]]) -> Iterator[tuple[str, torch.Tensor]]:
        inputs = 1
        for block, outputs in ((1, 32), (2, 64), (3, 128)):
            widths = {f"{first}_1": (inputs, outputs // 2), f"{first}_2": (outputs // 2, outputs)}
            widths |= {"t_1": (outputs, outputs), "t_2": (outputs, outputs)}
            for layer, (before, after) in widths.items():
                name = f"model.{encoder}.block{block}"
                yield f"{name}.{layer}.weight", 0.2 * torch.randn(after, before, *kernels[layer])
                part, number = layer.split("_")
                yield from norm(f"{name}.{part}_norm_{number}", after)
            inputs = outputs

    spatial: dict[str, tuple[int, ...]] = {"s_1": (1, 5, 5), "s_2": (1, 3, 3), "t_1": (5, 1, 1), "t_2": (3, 1, 1)}
    yield from steps("visualEncoder", "s", spatial)
    yield from steps("audioEncoder", "m", {"m_1": (5, 1), "m_2": (3, 1), "t_1": (1, 5), "t_2": (1, 3)})
    for name, channels in (("model.fusion", 256), ("model.detector.attention", 128)):
        yield f"{name}.attention.weight", torch.randn(channels, channels, 1) / channels
        yield from norm(f"{name}.bn", channels)
    for way in ("gru_forward", "gru_backward"):
        yield f"model.detector.{way}.weight_ih_l0", torch.randn(192, 256) / 16
        yield f"model.detector.{way}.weight_hh_l0", torch.randn(192, 64) / 8
        for part in ("bias_ih_l0", "bias_hh_l0"):
            yield f"model.detector.{way}.{part}", torch.zeros(192)
    yield "lossAV.FC.weight", torch.randn(2, 128)
    yield "lossAV.FC.bias", torch.zeros(2)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("peer") / "pretrain_AVA.model"
    torch.save(dict(random_weights()), path)
    return path


def test_every_tick_has_a_score_that_depends_on_face_and_voice(weights: Path) -> None:
    network, rng = LrAsd(weights), np.random.default_rng(0)
    crops = rng.integers(0, 256, (30, SIDE, SIDE), dtype=np.uint8)
    samples = rng.normal(0, 0.1, 30 * 640).astype(np.float32)
    scores = network.score(crops, samples)
    assert scores.shape == (30,) and np.isfinite(scores).all() and scores.std() > 0
    assert not np.allclose(scores, network.score(crops[::-1].copy(), samples))
    assert not np.allclose(scores, network.score(crops, samples[::-1].copy()))


def test_mfcc_of_louder_audio_differ_in_energy_alone() -> None:
    samples = np.random.default_rng(1).normal(0, 0.01, 16_000).astype(np.float32)
    quiet, loud = mfcc(samples), mfcc(8 * samples)
    assert quiet.shape == (99, 13)
    assert loud[:, 0] - quiet[:, 0] == pytest.approx(np.full(99, 2 * np.log(8)), abs=0.02)
    assert np.abs(loud[:, 1:] - quiet[:, 1:]).max() < 0.5, "but for rounding to 16 bits"


def test_the_crop_is_the_middle_of_the_authors_cut() -> None:
    image = np.zeros((400, 400, 3), np.uint8)
    image[:, 200:] = 255
    seen = crop(image, Box(150, 150, 100, 100))
    assert seen.shape == (SIDE, SIDE)
    assert seen[:, : SIDE // 2 - 1].max() == 0 and seen[:, SIDE // 2 + 1 :].min() == 255
    assert crop(image, Box(-50, 150, 100, 100))[0, 0] == 110


class Constant(LrAsd):
    """Finds that every face speaks, the one in the first tick's leftmost place most."""

    def __init__(self) -> None:
        self.calls = 0

    def score(self, crops: npt.NDArray[np.uint8], samples: Samples) -> npt.NDArray[np.float32]:
        self.calls += 1
        return np.full(len(crops), 3.0 if self.calls == 1 else 1.0, np.float32)


def test_a_peer_that_marks_everybody_has_second_faces_and_no_off_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "DEMO_SECONDS", 8.0)
    try:
        result = peer(demo_gallery(0), Constant())
    except InputError as error:
        pytest.skip(str(error))
    assert result.verdict.second == 1.0 and result.verdict.silence is not None and result.verdict.silence < 0.5
    assert result.ms_a_face_second is not None and result.ms_a_face_second > 0
    assert line("demo 0", "LR-ASD", result).startswith("demo 0")


def test_the_delay_of_a_turn_that_is_never_marked_is_its_length() -> None:
    tiles = (Box(0, 0, 100, 100), Box(100, 0, 100, 100))
    turns = (ScriptedTurn(0, 0.0, 2.0), ScriptedTurn(1, 3.0, 6.0), ScriptedTurn(None, 7.0, 9.0))
    gallery = peers.Gallery("made", "made", tiles, turns)
    face = FaceScore(1, Box(30, 30, 40, 40), 0.9, True)
    snapshots = [Snapshot(k, k / 25, 1.0, (face,), SpeakingState.SPEAKING, 1, Lag(0, 0)) for k in range(10, 225)]
    assert list(peers._delays(gallery, snapshots)) == pytest.approx([0.4, 3.0])


def test_a_gallery_is_read_with_its_truth(tmp_path: Path) -> None:
    truth = {"tiles": [[0, 0, 10, 10]], "turns": [{"tile": 0, "start": 1, "end": 2}, {"tile": 1, "start": 3, "end": 4}]}
    (tmp_path / "g.json").write_text(json.dumps(truth))
    gallery = read_gallery(tmp_path / "g.mp4")
    assert [turn.tile for turn in gallery.turns] == [0, None]
    with pytest.raises(InputError, match=r"ground truth h\.json is missing"):
        read_gallery(tmp_path / "h.mp4")


def test_missing_weights_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["peers", "--model-dir", str(tmp_path)]) == 2
    assert "holds none of finetuning_TalkSet.model" in capsys.readouterr().err
    (tmp_path / "pretrain_AVA.model").write_bytes(b"x")
    assert main(["peers", "--model-dir", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
