"""Comparison with a peer: LR-ASD on our face tracks and the same galleries, scored offline as its authors do.

A gallery is a video with its ground truth beside it, ``G.mp4`` and ``G.json``: {"tiles": [[x, y, w, h], …], "turns":
[{"tile": i, "start": s, "end": e}, …]}; a tile beyond the list is a voice off-screen. Without galleries, the demo is
used. The peer names the face with the highest score above 0; it has no state for off-screen speech, so naming nobody
counts as that.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import numpy as np
import numpy.typing as npt

from speakerlight import Output, RunSettings, Snapshot, run
from speakerlight.core.demo import Judge, ScriptedTurn, Verdict
from speakerlight.core.errors import InputError
from speakerlight.core.faces.detection import FaceDetector
from speakerlight.core.faces.vision import FrameTracks, Vision
from speakerlight.core.geometry import Box
from speakerlight.core.media import AudioChunk, Samples
from speakerlight.core.snapshot import FaceScore, Lag, SpeakingState
from speakerlight.core.timebase import SAMPLES_PER_TICK, TICK_RATE
from speakerlight.engine import TickAdapter
from speakerlight.model_cache import fetch
from speakerlight.model_files import BLAZEFACE_SHORT
from speakerlight.sources import MediaReader
from speakerlight.sources.demo import DemoReader
from speakerlight.sources.files import FileReader
from speakerlight.sources.quiet_libraries import quiet_libraries
from tests.benchmarks.lr_asd import LrAsd, crop, find_weights

DEMO_SEEDS = (0, 1)
DEMO_SECONDS = 60.0
SHORTEST_TICKS = 5
"""Minimum length of a track; the authors drop shorter ones."""


@dataclass(frozen=True, eq=False)
class Gallery:
    """``video``: as ``--video`` takes it; the ground truth; and how much of it to play."""

    name: str
    video: str
    tiles: tuple[Box, ...]
    turns: tuple[ScriptedTurn, ...]
    seconds: float | None = None

    def judge(self) -> Judge:
        return Judge(self.tiles, lambda start, end: [t for t in self.turns if t.start < end and t.end > start])

    def reader(self) -> MediaReader:
        return FileReader(Path(self.video)) if self.seconds is None else DemoReader(self.video)


def read_gallery(path: Path) -> Gallery:
    """Raises InputError when the ground truth is missing."""
    truth_path = path.with_suffix(".json")
    if not truth_path.is_file():
        raise InputError(f"{path}: its ground truth {truth_path.name} is missing")
    truth = json.loads(truth_path.read_text())
    tiles = tuple(Box(*tile) for tile in truth["tiles"])
    turns = [(t["tile"] if t["tile"] < len(tiles) else None, t["start"], t["end"]) for t in truth["turns"]]
    return Gallery(path.stem, str(path), tiles, tuple(ScriptedTurn(*turn) for turn in turns))


def demo_gallery(seed: int) -> Gallery:
    """Four people of the demo."""
    video = f"demo:people=4,seed={seed}"
    demo = DemoReader(video).demo
    turns = demo.truth(DEMO_SECONDS).turns
    return Gallery(f"demo {seed}", video, demo.tiles, turns, DEMO_SECONDS)


@dataclass
class Track:
    """One face in successive ticks from ``first`` on."""

    first: int
    crops: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.first + len(self.crops)


@dataclass(frozen=True)
class Result:
    """Result of one method on a gallery. ``delay``: median seconds from a turn's start to the right mark."""

    verdict: Verdict
    delay: float | None
    ms_a_face_second: float | None = None


def collected(gallery: Gallery) -> tuple[list[tuple[int, Track]], Samples]:
    """Our face tracks, by id and cut where a face is out of view, and the audio."""
    tracks: list[tuple[int, Track]] = []
    current: dict[int, Track] = {}
    audio: list[Samples] = []
    detector_file = fetch(BLAZEFACE_SHORT)
    with quiet_libraries(), closing(FaceDetector(detector_file)) as detector, closing(gallery.reader()) as reader:
        adapter = TickAdapter(Vision(detector, lambda image, face: crop(image, face.box)))
        for item in reader:
            if gallery.seconds is not None and item.time >= gallery.seconds:
                break
            if isinstance(item, AudioChunk):
                audio.append(item.samples)
                continue
            for frame_tracks in adapter.push(item):
                _extend(frame_tracks, current, tracks)
    return tracks, np.concatenate(audio)


def _extend(frame_tracks: FrameTracks, current: dict[int, Track], tracks: list[tuple[int, Track]]) -> None:
    for face, seen in zip(frame_tracks.faces, frame_tracks.crops, strict=True):
        track = current.get(face.id)
        if track is None or track.end != frame_tracks.tick:
            track = current[face.id] = Track(frame_tracks.tick)
            tracks.append((face.id, track))
        track.crops.append(seen)
        track.boxes.append(face.box)


def peer(gallery: Gallery, network: LrAsd) -> Result:
    """LR-ASD on a gallery."""
    tracks, samples = collected(gallery)
    faces: dict[int, list[FaceScore]] = {}
    begin, ticks = perf_counter(), 0
    for number, track in tracks:
        if len(track.crops) < SHORTEST_TICKS:
            continue
        logits = network.score(np.stack(track.crops), samples[track.first * SAMPLES_PER_TICK :])
        ticks += len(logits)
        for tick, (box, logit) in enumerate(zip(track.boxes, logits, strict=True), track.first):
            score = float(1 / (1 + np.exp(-logit)))
            faces.setdefault(tick, []).append(FaceScore(number, box, score, bool(logit > 0)))
    milliseconds = 1000 * (perf_counter() - begin) * TICK_RATE / ticks if ticks else None
    count = len(samples) // SAMPLES_PER_TICK
    snapshots = [_snapshot(tick, tuple(faces.get(tick, ()))) for tick in range(count)]
    return _result(gallery, snapshots, milliseconds)


def _snapshot(tick: int, faces: tuple[FaceScore, ...]) -> Snapshot:
    best = max((face for face in faces if face.speaking), key=lambda face: face.score, default=None)
    state = SpeakingState.SPEAKING if best else SpeakingState.OFFSCREEN
    return Snapshot(tick, tick / TICK_RATE, 1.0, faces, state, best.id if best else None, Lag(0.0, 0.0))


class SnapshotList(Output):
    """Keeps every snapshot."""

    option = "peers"

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []

    def snapshot(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)


def ours(gallery: Gallery) -> Result:
    """The engine on a gallery, through ``--fast``."""
    kept = SnapshotList()
    settings = RunSettings(video=gallery.video, fast=True, window=False, duration_seconds=gallery.seconds)
    run(settings, [kept])
    return _result(gallery, kept.snapshots)


def _result(gallery: Gallery, snapshots: Sequence[Snapshot], milliseconds: float | None = None) -> Result:
    judge = gallery.judge()
    for snapshot in snapshots:
        judge.push(snapshot)
    delays = list(_delays(gallery, snapshots))
    return Result(judge.verdict(), float(np.median(delays)) if delays else None, milliseconds)


def _delays(gallery: Gallery, snapshots: Sequence[Snapshot]) -> Iterator[float]:
    """Seconds until the right mark, for each turn in view; its length where that never comes."""
    for turn in gallery.turns:
        if turn.tile is not None:
            inside = [s for s in snapshots if turn.start <= s.time < turn.end]
            right = (s.time - turn.start for s in inside if _marks(s, gallery.tiles[turn.tile]))
            yield next(right, turn.end - turn.start)


def _marks(snapshot: Snapshot, tile: Box) -> bool:
    face = next((face for face in snapshot.faces if face.id == snapshot.primary), None)
    if face is None or snapshot.state is not SpeakingState.SPEAKING:
        return False
    return tile.contains(face.box.centre)


def line(name: str, contestant: str, result: Result) -> str:
    """One line of the table."""
    verdict = result.verdict
    shares = (verdict.identity, verdict.second, verdict.offscreen, result.delay)
    text = " ".join(f"{'-' if share is None else f'{share:.3f}':>9}" for share in shares)
    cost = "" if result.ms_a_face_second is None else f"{result.ms_a_face_second:9.0f}"
    return f"{name:24.24} {contestant:9} {text} {cost}".rstrip()


def main(arguments: list[str]) -> int:
    """Print two lines for each gallery."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks peers", description=__doc__)
    parser.add_argument("--model-dir", type=Path, required=True, help="folder with LR-ASD's weights, fetched by you")
    parser.add_argument("galleries", type=Path, nargs="*", metavar="GALLERY.mp4")
    given = parser.parse_args(arguments)
    network = LrAsd(find_weights(given.model_dir))
    galleries = [read_gallery(path) for path in given.galleries] or [demo_gallery(seed) for seed in DEMO_SEEDS]
    header = " ".join(f"{name:>9}" for name in ("identity", "second", "offscreen", "delay s", "ms/face-s"))
    print(f"{'gallery':24} {'':9} {header}")
    for gallery in galleries:
        print(line(gallery.name, "LR-ASD", peer(gallery, network)), flush=True)
        print(line(gallery.name, "ours", ours(gallery)), flush=True)
    return 0
