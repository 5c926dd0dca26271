"""Decision accuracy on galleries with ground truth: the network's bounds, the events, and processor time.

    python -m tests.benchmarks decision DIR [--events DIR ...] [--weights FILE]

DIR holds galleries (``NAME.mp4``) with their truth (``NAME.json``, fixed tiles) as ``make_gallery.py`` writes them. The
bounds are what the network alone would allow: whose mean cosine over the turn so far is highest when the beginning of
each turn and each face's lag are known, and the same over the last 1.5 s. A gap between the bounds and the decision is
an error of the decision; what the bounds lack, of the network. ``--events`` names folders of event logs
(``NAME.jsonl``) of other releases on the same galleries: a row each. ``--calibrate`` prints the calibration that these
galleries ask for: the constants of ``core/decision/calibration.py``.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from speakerlight.core.decision.calibration import UNCALIBRATED, Calibration
from speakerlight.core.decision.lag import LAGS
from speakerlight.core.decision.scorer import Scorer
from speakerlight.core.decision.settings import Settings
from speakerlight.core.faces.detection import FaceDetector
from speakerlight.core.faces.vision import Vision
from speakerlight.core.geometry import Box
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.core.models.compact import WEIGHTS_FILE
from speakerlight.core.models.compact_loading import load_compact
from speakerlight.core.models.lipsync import LipSyncModel
from speakerlight.core.snapshot import Snapshot
from speakerlight.core.timebase import TICK_RATE
from speakerlight.engine import TickAdapter
from speakerlight.model_cache import fetch
from speakerlight.model_files import BLAZEFACE_SHORT
from speakerlight.sources import open_reader
from tests.tiles import tile_of

COLLAR_SECONDS = 0.5
"""Beginning of each turn, in seconds, in which only the delay is judged."""

_RECENT_TICKS = 37

Truth = dict[str, Any]


@dataclass
class Tally:
    """Accuracy over the ticks of one gallery. ``scores``: pairs of probability and truth."""

    timed: int = 0
    right: int = 0
    single: int = 0
    second: int = 0
    away: int = 0
    left: int = 0
    told: int = 0
    delays: list[float] = field(default_factory=list)
    names: list[int] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    scores: list[tuple[float, bool]] = field(default_factory=list)


@dataclass(frozen=True)
class Tick:
    """One tick of an event log: each face's tile (None outside all), score and mark; who is named; the state."""

    time: float
    faces: list[tuple[int | None, float, bool]]
    named: int | None
    state: str


def judged(ticks: Iterable[Tick], truth: Truth) -> Tally:
    """Judge the ticks by the turns, as ``score_events.py`` does."""
    tally, turns, seen = Tally(), truth["turns"], len(truth["tiles"])
    first: list[float | None] = [None] * len(turns)
    before: object = None
    for tick in ticks:
        if tick.named is not None and tick.named != before:
            tally.names.append(tick.named)
        before = tick.named
        open_turns = [k for k, turn in enumerate(turns) if turn["start"] <= tick.time < turn["end"]]
        speakers = {turns[k]["tile"] for k in open_turns}
        tally.scores += [(score, tile in speakers) for tile, score, _ in tick.faces if tile is not None]
        if not open_turns:
            continue
        past_collar = all(tick.time >= turns[k]["start"] + COLLAR_SECONDS for k in open_turns)
        in_view = {tile for tile in speakers if tile < seen}
        for k in open_turns:
            if tick.named == turns[k]["tile"] and first[k] is None:
                first[k] = tick.time - turns[k]["start"]
        if not past_collar:
            continue
        if not in_view:
            tally.away += 1
            tally.left += tick.named is None
            tally.told += tick.state == "offscreen"
            continue
        tally.timed += 1
        tally.right += tick.named in in_view
        if len(speakers) == 1:
            tally.single += 1
            tally.second += any(marked and tile not in speakers for tile, _, marked in tick.faces if tile is not None)
    shown = [(delay, turn) for delay, turn in zip(first, turns, strict=True) if turn["tile"] < seen]
    tally.delays = [turn["end"] - turn["start"] if delay is None else delay for delay, turn in shown]
    tally.turns = [turn["tile"] for turn in turns]
    return tally


def tiles_of(truth: Truth) -> tuple[Box, ...]:
    return tuple(Box(*tile) for tile in truth["tiles"])


def from_snapshots(snapshots: Iterable[Snapshot], tiles: Sequence[Box]) -> Iterable[Tick]:
    for s in snapshots:
        where = {face.id: tile_of(tiles, face.box.centre) for face in s.faces}
        faces = [(where[face.id], face.score, face.speaking) for face in s.faces]
        yield Tick(s.time, faces, where.get(s.primary) if s.primary is not None else None, s.state.value)


def from_events(path: Path, tiles: Sequence[Box]) -> Iterable[Tick]:
    """The ticks of an event log, of either version of the schema."""
    named, state = None, "silence"
    events = [json.loads(line) for line in path.read_text().splitlines() if line]
    for event in sorted((e for e in events if "time" in e), key=lambda e: (e["time"], e["type"] == "scores")):
        if event["type"] == "speaker":
            named, state = event["id"] if event["state"] == "speaking" else None, event["state"]
        if event["type"] == "scores":
            where = {}
            for face in event["faces"]:
                where[face["id"]] = tile_of(tiles, Box(*face["box"]).centre)
            faces = [(where[f["id"]], f["score"], f["speaking"]) for f in event["faces"]]
            yield Tick(event["time"], faces, where.get(named) if named is not None else None, state)


def expected_calibration_error(scores: list[tuple[float, bool]]) -> float:
    """Calibration error: mean distance of predicted probability and share of truth, over deciles of the prediction."""
    values = np.array(scores, float)
    decile = np.minimum((values[:, 0] * 10).astype(int), 9)
    parts = [values[decile == k] for k in range(10) if (decile == k).any()]
    return float(sum(len(p) * abs(p[:, 0].mean() - p[:, 1].mean()) for p in parts) / len(values))


class RecordedModel:
    """A model that keeps each tick's vectors of every face, for the bounds."""

    def __init__(self, model: LipSyncModel) -> None:
        self._model = model
        self.audio: list[npt.NDArray[np.float32]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def embed_audio(self, mel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        vectors = self._model.embed_audio(mel)
        self.audio.extend(vectors)
        return vectors


def run(
    gallery: Path, model: LipSyncModel, detector: FaceDetector, truth: Truth, settings: Settings | None = None
) -> tuple[list[Snapshot], Any]:
    """The engine's snapshots, and the cosines of each tile's face with the audio at each lag [tiles, 31, T]."""
    recorded = RecordedModel(model)
    scorer = Scorer(recorded, settings=settings)
    adapter = TickAdapter(Vision(detector, lambda image, face: model.crop(image, face.box, face.keypoints)))
    tiles, vectors, snapshots = tiles_of(truth), {}, []

    for item in open_reader(str(gallery), None):
        if isinstance(item, Frame):
            scorer.push_tracks(list(adapter.push(item)))
        elif isinstance(item, AudioChunk):
            scorer.push_audio([item])
        new = scorer.advance()
        snapshots += new
        for s in new:
            ids = [face.id for face in s.faces]
            if not ids:
                continue
            for face, vector in zip(s.faces, scorer.face_vectors(ids, s.tick), strict=True):
                if (tile := tile_of(tiles, face.box.centre)) is not None:
                    vectors[tile, s.tick] = vector
    snapshots += scorer.finish()
    ticks = min(len(recorded.audio), snapshots[-1].tick + 1)
    audio = np.stack(recorded.audio[:ticks])
    cosines = np.zeros((len(tiles), len(LAGS), ticks), np.float32)
    for (tile, tick), vector in vectors.items():
        for k, lag in enumerate(LAGS.tolist()):
            if tick < ticks and 0 <= tick + lag < ticks:
                cosines[tile, k, tick] = vector @ audio[tick + lag]
    return snapshots, cosines


def bounds(cosines: npt.NDArray[np.float32], truth: Truth) -> tuple[float, float]:
    """Share of ticks at which the speaker's mean cosine is the highest: over the turn so far, over the last 1.5 s."""
    tiles, _, ticks = cosines.shape
    turns = [(t["tile"], round(t["start"] * TICK_RATE), round(t["end"] * TICK_RATE)) for t in truth["turns"]]
    own = []
    for tile in range(tiles):
        spoken = [t for who, start, end in turns if who == tile for t in range(start, min(end, ticks))]
        curve = cosines[tile][:, spoken].mean(axis=1) if spoken else np.zeros(len(LAGS))
        own.append(cosines[tile, int(np.argmax(curve))])
    curves = np.stack(own)

    def share(begin: Callable[[int, int], int]) -> float:
        right = [
            int(curves[:, begin(start, t) : t + 1].mean(axis=1).argmax()) == who
            for who, start, end in turns
            if who < tiles
            for t in range(start + round(COLLAR_SECONDS * TICK_RATE), min(end, ticks))
        ]
        return float(np.mean(right))

    return share(lambda start, _: start), share(lambda _, t: max(0, t - _RECENT_TICKS))


def one_voice(ticks: Iterable[Tick], truth: Truth) -> list[list[tuple[float, bool]]]:
    """Of each tick with one voice, the score of each face and whether it speaks."""
    found = []
    for tick in ticks:
        speakers = [turn["tile"] for turn in truth["turns"] if turn["start"] <= tick.time < turn["end"]]
        faces = [(score, tile in speakers) for tile, score, _ in tick.faces if tile is not None]
        if len(speakers) == 1 and any(score for score, _ in faces):
            found.append(faces)
    return found


def fitted(ticks: Sequence[Sequence[tuple[float, bool]]]) -> Calibration:
    """The calibration that makes the truth most probable, from uncalibrated scores of ticks with one voice. Pairs are
    left out: what the faces lack to 1 is nobody's."""
    scores, speaks = np.array([face for tick in ticks for face in tick], float).T
    counts = [len(tick) for tick in ticks]
    starts = np.cumsum([0, *counts[:-1]])
    nobody = np.maximum(0.0, 1.0 - np.add.reduceat(scores, starts))

    def loss(logs: npt.NDArray[np.float64]) -> float:
        sharpness, floor, weight = np.exp(logs)
        raised = (scores + floor) ** sharpness
        totals = np.add.reduceat(raised, starts) + weight * (nobody + floor) ** sharpness
        p = (raised / np.repeat(totals, counts)).clip(1e-4, 1 - 1e-4)
        return float(-np.log(np.where(speaks > 0, p, 1 - p)).mean())

    return Calibration(*np.exp(minimize(loss, np.log([1.5, 0.02, 0.7]), method="Nelder-Mead").x).round(3).tolist())


def row(name: str, tallies: list[Tally]) -> str:
    def share(part: Callable[[Tally], int], whole: Callable[[Tally], int]) -> list[float]:
        return [part(t) / whole(t) for t in tallies if whole(t)]

    def mean(values: list[float]) -> str:
        return f"{statistics.mean(values):.3f}" if values else "–"

    identity = share(lambda t: t.right, lambda t: t.timed)
    switches = [(sum(a != b for a, b in zip(t.names, t.names[1:], strict=False))) for t in tallies]
    true = [(sum(a != b for a, b in zip(t.turns, t.turns[1:], strict=False))) for t in tallies]
    scores = [pair for t in tallies for pair in t.scores]
    cells = [
        name,
        mean(identity),
        f"{min(identity):.2f}",
        mean(share(lambda t: t.second, lambda t: t.single)),
        f"{statistics.mean([statistics.median(t.delays) for t in tallies]):.2f}",
        f"{sum(switches) / max(sum(true), 1):.2f}",
        mean(share(lambda t: t.left, lambda t: t.away)),
        mean(share(lambda t: t.told, lambda t: t.away)),
        f"{expected_calibration_error(scores):.3f}",
        f"{statistics.mean([(p - t) ** 2 for p, t in scores]):.3f}",
    ]
    return f"| {' | '.join(cells)} |"


COLUMNS = (
    "decision",
    "identity",
    "worst",
    "second",
    "delay, s",
    "switches",
    "off-screen",
    "told",
    "calibration",
    "Brier",
)
HEADER = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="decision", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--events", type=Path, nargs="*", default=[], metavar="DIR")
    parser.add_argument("--weights", type=Path, default=WEIGHTS_FILE, help="of the lip-sync network")
    parser.add_argument("--calibrate", action="store_true", help="fit the calibration and print it")
    given = parser.parse_args(arguments)
    galleries = sorted(p for p in given.folder.glob("*.mp4") if p.with_suffix(".json").is_file())
    if not galleries:
        parser.error(f"no galleries with their truth in {given.folder}")
    truths = {gallery: json.loads(gallery.with_suffix(".json").read_text()) for gallery in galleries}
    model, detector = load_compact("cpu", given.weights), FaceDetector(fetch(BLAZEFACE_SHORT))
    if given.calibrate:
        uncalibrated = Settings(calibration=UNCALIBRATED)
        ticks: list[list[tuple[float, bool]]] = []
        for gallery, truth in truths.items():
            snapshots, _ = run(gallery, model, detector, truth, uncalibrated)
            ticks += one_voice(from_snapshots(snapshots, tiles_of(truth)), truth)
        print(fitted(ticks))
        return 0
    tallies: list[Tally] = []
    from_begin: list[float] = []
    recent: list[float] = []
    for gallery, truth in truths.items():
        snapshots, cosines = run(gallery, model, detector, truth)
        tallies.append(judged(from_snapshots(snapshots, tiles_of(truth)), truth))
        for bound, found in zip((from_begin, recent), bounds(cosines, truth), strict=True):
            bound.append(found)
    print(HEADER)
    blank = " | – " * 7
    print(f"| bound: turn and lag known | {statistics.mean(from_begin):.3f} | {min(from_begin):.2f}{blank}|")
    print(f"| bound: last 1.5 s, lag known | {statistics.mean(recent):.3f} | {min(recent):.2f}{blank}|")
    print(row("this version", tallies))
    for folder in given.events:
        logs = [(folder / f"{gallery.stem}.jsonl", truth) for gallery, truth in truths.items()]
        print(row(folder.name, [judged(from_events(p, tiles_of(t)), t) for p, t in logs if p.is_file()]))
    return 0
