"""Cost of each stage of one tick, for a model and a number of faces, with the baseline where there is one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import torch

from speakerlight.core.audio.logmel import StreamingLogMel, log_mel
from speakerlight.core.audio.vad import VoiceActivity
from speakerlight.core.decision.chain import Posterior
from speakerlight.core.decision.scorer import Scorer
from speakerlight.core.decision.settings import Settings
from speakerlight.core.decision.turns import Turns
from speakerlight.core.faces.detection import FaceDetector, search_tiles
from speakerlight.core.faces.tracking import Tracker
from speakerlight.core.faces.vision import Vision
from speakerlight.core.models.face_stream import FaceEncoderStream
from speakerlight.core.models.lipsync import LipSyncModel
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState
from speakerlight.core.timebase import TICK_RATE
from speakerlight.model_loading import COMPACT, share_cores
from speakerlight.overlay import OverlayInfo, draw_overlay
from speakerlight.sources.files import FileReader
from speakerlight.sources.quiet_libraries import quiet_libraries
from tests.benchmarks.baseline import PlainExpert, PlainTick
from tests.benchmarks.measure import Case, Row, against, spread, take_turns
from tests.benchmarks.scene import Scene, model, plain_expert, scene, write_clip

SETTLED_TICKS = 20
"""Number of ticks after which every memory is full and every face is known."""

CLIP_SECONDS = 2.0

PLAIN = " plain"
"""Suffix of the name of a stage's baseline."""


def vision_stages(people: int, detector_file: Path, rounds: int) -> list[Row]:
    """Stages that do not depend on the lip-sync model."""
    share_cores("cpu", COMPACT)
    shown = scene(people)
    with tempfile.TemporaryDirectory() as folder, quiet_libraries():
        clip = write_clip(Path(folder), people, CLIP_SECONDS, TICK_RATE)
        with closing(FaceDetector(detector_file)) as detector:
            cases = {
                "decode": _decode(clip),
                "decode" + PLAIN: _decode_with_opencv(clip),
                "detect, track": _detect(shown, detector),
                "detect, track" + PLAIN: _detect_everywhere(shown, detector),
                "track": _track(shown),
                "detect, track, crop": _vision(shown, detector),
                "draw": _draw(shown),
            }
            timed = take_turns({name: Case(call) for name, call in cases.items()}, rounds)
    return _rows("", people, timed)


def model_stages(name: str, people: int, device: str, rounds: int) -> list[Row]:
    """Stages of a lip-sync model; the baseline is the expert's for every model."""
    share_cores(device, name)
    threads = torch.get_num_threads()
    shown, used = scene(people), model(name, device)
    plain = PlainTick(PlainExpert(plain_expert(), device), shown.tracks(0, model("expert", device)).crops)
    cases = {
        "crop": Case(_crop(shown, used)),
        "mel": Case(_mel(shown, used)),
        "mel" + PLAIN: Case(_mel_again(shown, used)),
        "voice activity": Case(_voice(shown)),
        "encode": Case(_encode(shown, used)),
        "encode" + PLAIN: Case(plain),
        "lag, evidence, turns": _advance(shown, used),
        "turns": Case(_turns(shown)),
        "scored tick": Case(_tick(shown, used)),
    }
    # The original leaves torch all cores.
    plain_threads = os.cpu_count() or 1
    for stage, case in cases.items():
        cases[stage] = replace(case, threads=plain_threads if stage.endswith(PLAIN) else threads)
    timed = take_turns(cases, rounds)
    timed["scored tick" + PLAIN] = timed["encode" + PLAIN]
    return _rows(name, people, timed)


def whole_tick(name: str, people: int, device: str, detector_file: Path, rounds: int) -> list[Row]:
    """Vision and scoring of one tick in one thread: what is left of its 40 ms is for capture, drawing and outputs."""
    share_cores(device, name)
    with quiet_libraries(), closing(FaceDetector(detector_file)) as detector:
        case = _whole_tick(scene(people), model(name, device), detector)
        timed = take_turns({"whole tick": case}, rounds)["whole tick"]
    note = f"{1000 / TICK_RATE / spread(timed).median:.1f} × real time"
    return [Row("stages", "whole tick", name, people, spread(timed), "ms", note=note)]


def scaling(name: str, faces: Sequence[int], device: str, detector_file: Path, rounds: int) -> list[Row]:
    """How many times as much a whole tick costs with more faces as with the fewest, all by turns."""
    share_cores(device, name)
    used, (fewest, *more) = model(name, device), sorted(faces)
    with quiet_libraries(), closing(FaceDetector(detector_file)) as detector:
        cases = {str(people): _whole_tick(scene(people), used, detector) for people in (fewest, *more)}
        timed = take_turns(cases, rounds)
    few = timed[str(fewest)]
    return [
        Row("scaling", f"whole tick, to {fewest}", name, people, against(few, timed[str(people)]), "×")
        for people in more
    ]


def _whole_tick(shown: Scene, used: LipSyncModel, detector: FaceDetector) -> Case:
    vision = Vision(detector, lambda image, face: used.crop(image, face.box, face.keypoints))
    scorer = Scorer(used)

    def tick(index: int) -> None:
        scorer.push_tracks([vision.process(index, index / TICK_RATE, shown.image(index))])
        scorer.push_audio([shown.audio_chunk(index)])
        scorer.advance()

    return Case(_settled(tick), torch.get_num_threads())


def _rows(name: str, people: int, timed: dict[str, list[float]]) -> list[Row]:
    rows = []
    for stage, ours in timed.items():
        if not stage.endswith(PLAIN):
            plain = timed.get(stage + PLAIN)
            baseline, ratio = (spread(plain), against(ours, plain)) if plain else (None, None)
            rows.append(Row("stages", stage, name, people, spread(ours), "ms", baseline, ratio))
    return rows


def _settled(step: Callable[[int], object]) -> Callable[[], object]:
    """``step``, called with one tick after the other, once it has seen the first ``SETTLED_TICKS``."""
    ticks = count()
    for _ in range(SETTLED_TICKS):
        step(next(ticks))
    return lambda: step(next(ticks))


def _decode(clip: Path) -> Callable[[], object]:
    def frames() -> Iterator[object]:
        while True:
            with closing(FileReader(clip, audio=False)) as reader:
                yield from reader

    return frames().__next__


def _decode_with_opencv(clip: Path) -> Callable[[], object]:
    reader = cv2.VideoCapture(str(clip))

    def frame() -> None:
        if not reader.read()[0]:
            reader.set(cv2.CAP_PROP_POS_FRAMES, 0)
            reader.read()

    return frame


def _detect(shown: Scene, detector: FaceDetector) -> Callable[[], object]:
    """As often as ``Vision`` looks once it knows everybody; its tracking is part of it, its crops are not."""
    nothing = np.zeros((1, 1), np.uint8)
    vision = Vision(detector, lambda image, face: nothing)
    return _settled(lambda tick: vision.process(tick, tick / TICK_RATE, shown.image(tick)))


def _detect_everywhere(shown: Scene, detector: FaceDetector) -> Callable[[], object]:
    """Search all of every frame: the cost of finding the same faces without tracking."""
    tiles = search_tiles(shown.images[0].shape[1], shown.images[0].shape[0])
    return lambda: [detector.detect(shown.images[0], tile) for tile in tiles]


def _track(shown: Scene) -> Callable[[], object]:
    tracker, everybody = Tracker(), {face.id for face in shown.faces}

    def update(tick: int) -> None:
        tracker.predictions(tick / TICK_RATE)
        tracker.update(tick / TICK_RATE, shown.image(tick), shown.detections(tick), everybody)

    return _settled(update)


def _vision(shown: Scene, detector: FaceDetector) -> Callable[[], object]:
    used = model(COMPACT, "cpu")
    vision = Vision(detector, lambda image, face: used.crop(image, face.box, face.keypoints))
    return _settled(lambda tick: vision.process(tick, tick / TICK_RATE, shown.image(tick)))


def _draw(shown: Scene) -> Callable[[], object]:
    faces = tuple(FaceScore(face.id, face.box, 0.5, face.id == 1) for face in shown.faces)
    snapshot = Snapshot(0, 0.0, 0.9, faces, SpeakingState.SPEAKING, 1, Lag(40.0, 0.9))
    return lambda: draw_overlay(shown.images[0], snapshot, OverlayInfo(latency_ms=30.0))


def _crop(shown: Scene, used: LipSyncModel) -> Callable[[], object]:
    return lambda: shown.tracks(0, used)


def _mel(shown: Scene, used: LipSyncModel) -> Callable[[], object]:
    stream = StreamingLogMel(used.mel)
    return _settled(lambda tick: stream.push(shown.audio_chunk(tick).samples))


def _mel_again(shown: Scene, used: LipSyncModel) -> Callable[[], object]:
    """The window's columns anew for every face."""
    samples = shown.audio[: used.mel_window * used.mel.hop]
    return lambda: [log_mel(samples, used.mel) for _ in shown.faces]


def _voice(shown: Scene) -> Callable[[], object]:
    voice = VoiceActivity()
    return _settled(lambda tick: voice.push(shown.audio_chunk(tick).samples))


def _encode(shown: Scene, used: LipSyncModel) -> Callable[[], object]:
    """Crops and mel to embeddings, the faces' windows kept up."""
    faces, tracks = FaceEncoderStream(used, 2 * SETTLED_TICKS), shown.tracks(0, used)
    mel = np.full((1, used.mel_window, used.mel.mels), used.mel.silence, np.float32)

    def encode(tick: int) -> None:
        faces.push([replace(tracks, tick=tick)])
        used.embed_audio(mel)

    return _settled(encode)


def _advance(shown: Scene, used: LipSyncModel) -> Case:
    """Emission, chain and turns, once a tick's frames and audio are embedded."""
    scorer, tracks = Scorer(used), shown.tracks(0, used)

    def take(tick: int) -> None:
        scorer.push_tracks([replace(tracks, tick=tick)])
        scorer.push_audio([shown.audio_chunk(tick)])
        scorer.embed()

    return Case(scorer.advance, before=_settled(take))


def _turns(shown: Scene) -> Callable[[], object]:
    turns = Turns(Settings())
    posterior = Posterior({face.id: 0.9 if face.id == 1 else 0.01 for face in shown.faces}, {}, 0.02)
    return _settled(lambda tick: turns.update(tick / TICK_RATE, 0.9, posterior))


def _tick(shown: Scene, used: LipSyncModel) -> Callable[[], object]:
    scorer, tracks = Scorer(used), shown.tracks(0, used)

    def score(tick: int) -> None:
        scorer.push_tracks([replace(tracks, tick=tick)])
        scorer.push_audio([shown.audio_chunk(tick)])
        scorer.advance()

    return _settled(score)
