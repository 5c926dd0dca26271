"""Diarization of recordings with an RTTM beside them, against an audio-only baseline: ``diarization DIR``."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from speakerlight.core.audio.vad import VoiceActivity
from speakerlight.core.errors import InputError
from speakerlight.core.media import AudioChunk, Samples
from speakerlight.core.people.voice_encoder import VoiceEncoder, VoiceStream
from speakerlight.core.people.voices import HOP_TICKS, VoiceClusters
from speakerlight.core.timebase import TICK_RATE
from speakerlight.model_cache import fetch
from speakerlight.model_files import VOICE_ENCODER
from speakerlight.run_settings import RunSettings
from speakerlight.session import run
from speakerlight.sources import open_reader
from tests.benchmarks.diarization_scores import Segments, read_rttm, scores

COLLARS = (0.0, 0.25)
VIDEOS = (".mp4", ".mkv", ".webm", ".mov")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks diarization", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="recordings, each with NAME.rttm beside it")
    parser.add_argument("--audio-only", action="store_true", help="the baseline alone: the same voices without faces")
    given = parser.parse_args(arguments)
    found = sorted(_recordings(given.folder))
    if not found:
        raise InputError(f"{given.folder} holds no recording with an RTTM beside it")
    print(f"{'recording':24}{'system':12}{'collar':>8}{'DER':>8}{'JER':>8}{'purity':>8}{'coverage':>10}")
    for video, rttm in found:
        systems = {"audio only": audio_only(video)}
        if not given.audio_only:
            systems["whole"] = whole(video)
        for name, segments in systems.items():
            for collar in COLLARS:
                s = scores(read_rttm(rttm), segments, collar)
                figures = f"{s.der:8.3f}{s.jer:8.3f}{s.purity:8.3f}{s.coverage:10.3f}"
                print(f"{video.stem[:23]:24}{name:12}{collar:8.2f}{figures}", flush=True)
    return 0


def _recordings(folder: Path) -> Iterator[tuple[Path, Path]]:
    for rttm in folder.glob("*.rttm"):
        yield from ((video, rttm) for ending in VIDEOS if (video := rttm.with_suffix(ending)).exists())


def whole(video: Path) -> Segments:
    """Segments of the program's RTTM output."""
    with tempfile.TemporaryDirectory() as folder:
        rttm = Path(folder) / "out.rttm"
        run(RunSettings(video=str(video), fast=True, window=False, rttm=rttm), notify=lambda line: None)
        return read_rttm(rttm) if rttm.exists() else []


def audio_only(video: Path) -> Segments:
    """Segments from the same voice activity and voice clusters, without faces."""
    return voice_segments(_samples(video))


def voice_segments(samples: Samples) -> Segments:
    """Speech by voice, in steps of the voice stream's hops."""
    speech = VoiceActivity().push(np.concatenate([samples, np.zeros(TICK_RATE * 640, np.float32)]))
    stream, clusters = VoiceStream(VoiceEncoder(fetch(VOICE_ENCODER))), VoiceClusters()
    segments: list[tuple[float, float, str]] = []
    for hop, windows in enumerate(stream.push(samples)):
        spoken = float(np.mean([p >= 0.5 for p in speech[hop * HOP_TICKS : (hop + 1) * HOP_TICKS]]))
        clusters.update(windows, spoken)
        if spoken < 0.5 or clusters.current is None:
            continue
        start, end = hop * HOP_TICKS / TICK_RATE, (hop + 1) * HOP_TICKS / TICK_RATE
        name = f"voice{clusters.current}"
        if segments and segments[-1][2] == name and abs(segments[-1][1] - start) < 1e-6:
            segments[-1] = (segments[-1][0], end, name)
        else:
            segments.append((start, end, name))
    return segments


def _samples(video: Path) -> Samples:
    reader = open_reader(str(video), None)
    try:
        parts = [item.samples for item in reader if isinstance(item, AudioChunk)]
    finally:
        reader.close()
    return np.concatenate([np.zeros(0, np.float32), *parts])
