"""Loading models: warmed up in full, from a path or by name, without taking all cores."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from speakerlight.core.errors import InputError
from speakerlight.core.models.compact import Compact
from speakerlight.core.models.compact_graphs import compiled
from speakerlight.core.models.compact_network import CompactSyncNet
from speakerlight.core.models.features import Features
from speakerlight.core.models.lipsync import FaceEmbeddings
from speakerlight.model_loading import load_models, share_cores, warm_up
from speakerlight.run_settings import RunSettings


@pytest.fixture(autouse=True)
def threads_as_they_were() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_warming_up_runs_every_encoder_once() -> None:
    class Counting(Compact):
        calls: tuple[str, ...] = ()

        def encode_frames(self, stacks: np.ndarray) -> Features:
            self.calls += ("frames",)
            return super().encode_frames(stacks)

        def embed_faces(self, windows: Features) -> FaceEmbeddings:
            self.calls += ("faces",)
            return super().embed_faces(windows)

        def embed_audio(self, mel: np.ndarray) -> np.ndarray:
            self.calls += ("audio",)
            return super().embed_audio(mel)

    network = CompactSyncNet().eval().state_dict()
    model = Counting(compiled({name: tensor.numpy() for name, tensor in network.items()}))
    warm_up(model)
    assert model.calls == ("frames", "faces", "audio")


def test_a_run_imports_neither_ffmpeg_nor_http_nor_outputs_until_they_are_asked_for() -> None:
    lines = """
import sys
import speakerlight.session
unwanted = "av", "http.client", "ssl", "tqdm", "mediapipe", "openvino", "speakerlight.outputs.obs"
assert not [name for name in unwanted if name in sys.modules]
"""
    subprocess.run([sys.executable, "-c", lines], check=True, cwd=Path(__file__).parents[2])


def test_the_built_in_model_needs_no_pytorch_on_a_cpu_and_reports_nothing_by_network() -> None:
    lines = """
import sys
from speakerlight.model_loading import load_models
from speakerlight.run_settings import RunSettings
assert load_models(RunSettings(video="demo", device="cpu")).model.name == "compact"
import speakerlight.live, speakerlight.fast, speakerlight.overlay
assert "torch" not in sys.modules
assert not [name for name in sys.modules if "telemetry" in name]
"""
    subprocess.run([sys.executable, "-c", lines], check=True, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_pytorch_has_one_thread_in_each_stage(device: str) -> None:
    torch.set_num_threads(3)
    share_cores(device, "lipsync_expert.pth")
    assert torch.get_num_threads() == 1


def test_mediapipe_comes_without_matplotlib_and_portaudio_which_others_can_still_import() -> None:
    lines = """
import sys
from speakerlight.model_loading import import_mediapipe
import_mediapipe()
assert not [name for name in sys.modules if name.startswith(("matplotlib", "sounddevice"))]
from mediapipe.tasks.python.vision import FaceDetector
import matplotlib.pyplot
assert matplotlib.pyplot.figure
"""
    subprocess.run([sys.executable, "-c", lines], check=True, cwd=Path(__file__).parents[2])


def test_a_path_that_holds_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.pth"):
        load_models(RunSettings(video="demo", model=str(tmp_path / "missing.pth")))
