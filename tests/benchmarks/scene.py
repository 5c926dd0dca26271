"""Scenes for timing: the demo's frames and audio, its people at their places, models with seeded weights.

How long a network takes does not depend on its weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from speakerlight.batch_threads import split_over_cores
from speakerlight.core.demo import Demo, DemoSettings
from speakerlight.core.faces.detection import Detection
from speakerlight.core.faces.tracking import TrackedFace
from speakerlight.core.faces.vision import FrameTracks
from speakerlight.core.geometry import Box
from speakerlight.core.media import AudioChunk, Image, Samples
from speakerlight.core.models.compact_network import CompactSyncNet, model_of
from speakerlight.core.models.expert import Expert, SyncNetColor, fast_dtype, whole
from speakerlight.core.models.lipsync import LipSyncModel
from speakerlight.core.timebase import SAMPLE_RATE, SAMPLES_PER_TICK, TICK_RATE
from speakerlight.outputs.audio_tape import AudioTape
from speakerlight.outputs.mp4 import Mp4Writer

Network = TypeVar("Network", bound=nn.Module)

MODELS = ("compact", "expert")

FRAME_COUNT = 10
"""Number of different frames of a scene; longer times repeat them back and forth."""

_KEYPOINTS = np.array(((0.3, 0.35), (0.7, 0.35), (0.5, 0.55), (0.5, 0.75), (0.05, 0.4), (0.95, 0.4)))
"""Eyes, nose, mouth and ears in BlazeFace's box."""


@dataclass(frozen=True, eq=False)
class Scene:
    """``people`` in a video call, all of them known already."""

    images: tuple[Image, ...]
    faces: tuple[TrackedFace, ...]
    audio: Samples

    def image(self, tick: int) -> Image:
        place = tick % (2 * FRAME_COUNT - 2)
        return self.images[min(place, 2 * FRAME_COUNT - 2 - place)]

    def audio_chunk(self, tick: int) -> AudioChunk:
        """Audio of ``tick``: 40 ms."""
        start = tick * SAMPLES_PER_TICK % len(self.audio)
        return AudioChunk(tick / TICK_RATE, self.audio[start : start + SAMPLES_PER_TICK])

    def tracks(self, tick: int, model: LipSyncModel) -> FrameTracks:
        crops = tuple(model.crop(self.image(tick), face.box, face.keypoints) for face in self.faces)
        return FrameTracks(tick, tick / TICK_RATE, self.faces, crops)

    def detections(self, tick: int) -> list[Detection]:
        """All faces, moved half a pixel to and fro."""
        shift = 0.5 * (tick % 2)
        return [
            Detection(
                Box(f.box.x + shift, f.box.y, f.box.width, f.box.height), f.keypoints + np.array((shift, 0.0)), 0.9
            )
            for f in self.faces
        ]


@lru_cache
def scene(people: int) -> Scene:
    """The demo with ``people``: 1280×720, from ten people on 1920×1080."""
    demo = Demo(DemoSettings(people=people, seconds=None))
    faces = []
    for number, box in enumerate(demo.faces):
        faces.append(TrackedFace(number + 1, box, _KEYPOINTS * box.width + (box.x, box.y)))
    images = tuple(demo.frame(index) for index in range(FRAME_COUNT))
    return Scene(images, tuple(faces), demo.audio(0, 4 * SAMPLE_RATE))


def model(name: str, device: str) -> LipSyncModel:
    """``name`` as the engine runs it."""
    if name == "compact":
        return model_of(_seeded(CompactSyncNet), device)
    divide = split_over_cores if device == "cpu" else whole
    return Expert(_seeded(SyncNetColor), torch.device(device), fast_dtype(torch.device(device)), divide)


def plain_expert() -> SyncNetColor:
    """The expert as its checkpoint gives it: float32, batch norms by themselves."""
    return _seeded(SyncNetColor)


def write_expert(folder: Path) -> Path:
    """A checkpoint in the expert's form, random: what ``--model`` takes."""
    path = folder / "expert.pth"
    torch.save({"state_dict": _seeded(SyncNetColor).state_dict()}, path)
    return path


def write_clip(folder: Path, people: int, seconds: float, rate: float) -> Path:
    """A recording of the demo, 1280×720 with audio."""
    path = folder / f"demo{people}.mp4"
    demo = Demo(DemoSettings(people=people, seconds=seconds, width=1280, height=720, rate=rate))
    tape = AudioTape()
    writer = Mp4Writer(path, demo.settings.size, tape)
    for item in demo.play():
        if isinstance(item, AudioChunk):
            tape.put(item)
        else:
            writer.frame(item.time, item.image)
    writer.close()
    return path


def _seeded(network: type[Network]) -> Network:
    torch.manual_seed(0)
    return network().eval()
