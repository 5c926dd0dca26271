from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from unittest.mock import Mock, patch

import numpy as np
import numpy.typing as npt
import pytest

from speakerlight.core.audio.logmel import COMPACT_MEL, MelSettings
from speakerlight.core.decision.scorer import Scorer
from speakerlight.core.demo import Demo, DemoSettings
from speakerlight.core.faces.tracking import TrackedFace
from speakerlight.core.faces.vision import FrameTracks
from speakerlight.core.geometry import Box
from speakerlight.core.media import AudioChunk, Image
from speakerlight.core.models.features import Features
from speakerlight.core.models.lipsync import Crop, FaceEmbeddings
from speakerlight.core.snapshot import Lag, Snapshot, SpeakingState
from speakerlight.core.timebase import SAMPLE_RATE, SAMPLES_PER_TICK

TICKS = 260
CODES = 251


class StandIn:
    """A model of perfect embeddings: faces and audio carry the code of a moment; equal codes are equal vectors.

    A face's crop holds the number of its code. Audio embeddings are given by tick, as for a perfect model: the audio
    of tick k has code k, ``lag`` ticks later. Whether the audio is silence or speech does not matter to it.
    """

    name = "stand-in"
    dimensions = 64
    mel: MelSettings = COMPACT_MEL
    frame_stack = 1
    frame_window = 5
    frame_lookahead = 4
    mel_window = 4

    def __init__(self, lag: int = 0, has_activity: bool = True) -> None:
        self.lag, self.has_activity = lag, has_activity
        self._next_tick = 0
        self._codes = np.random.default_rng(0).normal(size=(CODES + 1, self.dimensions))
        self._codes /= np.linalg.norm(self._codes, axis=1, keepdims=True)

    def mel_start(self, tick: int) -> int:
        return 4 * tick

    def crop(self, image: Image, box: Box, keypoints: npt.NDArray[np.float64]) -> Crop:
        raise NotImplementedError

    def encode_frames(self, stacks: npt.NDArray[np.uint8]) -> Features:
        return stacks[:, -1, 0, :1].astype(np.float32) + 1

    def embed_faces(self, windows: Features) -> FaceEmbeddings:
        # The embedded tick is the first of the window: four come after it. No frame: code 0, of no face.
        codes = np.asarray(windows)[:, 0, 0].astype(int)
        visual_vad = np.full(len(codes), 0.8, np.float32) if self.has_activity else None
        return FaceEmbeddings(self._codes[codes].astype(np.float32), visual_vad)

    def embed_audio(self, mel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        ticks = self._next_tick + np.arange(len(mel)) - self.lag
        self._next_tick += len(mel)
        return np.asarray(self._codes[1 + ticks % CODES], np.float32)


def speech() -> npt.NDArray[np.float32]:
    """Somebody who talks nearly all the time: the demo's turns, one behind the other."""
    demo = Demo(DemoSettings(people=1, seed=1))
    parts = [
        demo.audio(round(turn.start * SAMPLE_RATE), round((turn.end - turn.start) * SAMPLE_RATE))
        for turn in demo.turns(0, 30)
    ]
    return np.concatenate(parts)[: TICKS * SAMPLES_PER_TICK]


@pytest.fixture(scope="module")
def talk() -> npt.NDArray[np.float32]:
    samples = speech()
    assert len(samples) == TICKS * SAMPLES_PER_TICK
    return samples


Codes = Callable[[int], dict[int, int]]
"""The code that each face shows at a tick."""


def talking_and_others(tick: int) -> dict[int, int]:
    """Face 2 matches the audio; face 1 moves its lips to other words, face 3 holds still."""
    return {1: (tick * 97 + 31) % CODES, 2: tick % CODES, 3: 5}


def tracks(tick: int, codes: Codes = talking_and_others) -> FrameTracks:
    shown = codes(tick)
    faces = tuple(TrackedFace(i, Box(100 * i, tick, 50, 50), np.zeros((6, 2))) for i in shown)
    return FrameTracks(tick, tick / 25, faces, tuple(np.full((1, 1), code, np.uint8) for code in shown.values()))


def audio_of(samples: npt.NDArray[np.float32], tick: int) -> AudioChunk:
    start = tick * SAMPLES_PER_TICK
    return AudioChunk(tick / 25, samples[start : start + SAMPLES_PER_TICK])


def lock_step(
    scorer: Scorer,
    samples: npt.NDArray[np.float32] | None,
    codes: Codes = talking_and_others,
    ticks: Iterable[int] = range(TICKS),
    stride: int = 1,
) -> list[Snapshot]:
    snapshots = []
    for tick in ticks:
        scorer.push_tracks([tracks(tick, codes)])
        if samples is not None:
            scorer.push_audio([audio_of(samples, tick)])
        snapshots += scorer.advance(stride)
    return snapshots + scorer.finish()


@pytest.fixture(scope="module")
def usual(talk: npt.NDArray[np.float32]) -> list[Snapshot]:
    return lock_step(Scorer(StandIn()), talk)


def test_the_talking_face_wins(usual: list[Snapshot]) -> None:
    settled = [s for s in usual[50:-10] if s.state is not SpeakingState.SILENCE]
    assert len(settled) > 0.8 * len(usual[50:-10])
    assert {s.primary for s in settled} == {2}
    for snapshot in settled:
        scores = {face.id: face.score for face in snapshot.faces}
        assert scores[2] > 0.7 > 0.25 > max(scores[1], scores[3])
        assert [face.id for face in snapshot.faces if face.speaking] == [2]


def test_a_voice_that_matches_no_face_is_off_screen(talk: npt.NDArray[np.float32]) -> None:
    snapshots = lock_step(Scorer(StandIn()), talk, lambda tick: {1: (tick * 97 + 31) % CODES, 3: 5})
    states = [s.state for s in snapshots[75:]]
    assert states.count(SpeakingState.OFFSCREEN) > 0.7 * len(states) and SpeakingState.SPEAKING not in states


def test_in_silence_there_is_no_active_speaker() -> None:
    snapshots = lock_step(Scorer(StandIn()), np.zeros(TICKS * SAMPLES_PER_TICK, np.float32), ticks=range(60))
    assert {s.state for s in snapshots} == {SpeakingState.SILENCE}
    assert not any(face.speaking for s in snapshots for face in s.faces)


@pytest.mark.parametrize("lag", [-5, 3, 10])
def test_the_lag_between_audio_and_video_is_found(talk: npt.NDArray[np.float32], lag: int) -> None:
    snapshots = lock_step(Scorer(StandIn(lag)), talk)
    assert snapshots[250].lag.milliseconds == pytest.approx(40 * lag, abs=20)
    assert snapshots[250].lag.confidence > 0.8
    assert {s.primary for s in snapshots[150:-30]} <= {2, None}
    assert sum(s.primary == 2 for s in snapshots[150:-30]) > 0.8 * len(snapshots[150:-30])


def test_a_lag_set_by_hand_is_used_from_the_start(talk: npt.NDArray[np.float32]) -> None:
    snapshots = lock_step(Scorer(StandIn(5), lag_ms=200), talk)
    assert {(s.lag.milliseconds, s.lag.confidence) for s in snapshots} == {(200, 1)}
    assert {s.primary for s in snapshots[40:-30]} <= {2, None}


def test_a_lag_can_be_set_while_it_runs_and_estimated_again(talk: npt.NDArray[np.float32]) -> None:
    scorer = Scorer(StandIn(5))

    def play(first: int, last: int) -> list[Snapshot]:
        snapshots = []
        for tick in range(first, last):
            scorer.push_tracks([tracks(tick)])
            scorer.push_audio([audio_of(talk, tick)])
            snapshots += scorer.advance()
        return snapshots

    assert play(0, 100)[-1].primary == 2
    scorer.set_lag(-5000)
    wrong = play(100, 150)
    assert wrong[-1].lag == Lag(-600.0, 1.0), "what cannot be compared is clipped"
    scorer.set_lag(None)
    again = play(150, TICKS) + scorer.finish()
    assert again[-40].lag.milliseconds == pytest.approx(200, abs=20) and again[-40].primary == 2
    ticks = [s.tick for s in [*wrong, *again]]
    assert ticks == list(range(ticks[0], TICKS)), "no tick is lost or comes twice"


@pytest.mark.parametrize("lag", [-60, 50])
def test_a_lag_of_seconds_set_by_hand_is_used(talk: npt.NDArray[np.float32], lag: int) -> None:
    snapshots = lock_step(Scorer(StandIn(lag), lag_ms=40.0 * lag), talk)
    assert [s.tick for s in snapshots] == list(range(TICKS))
    assert {s.lag.milliseconds for s in snapshots} == {40.0 * lag}
    settled = snapshots[100:-80] if lag > 0 else snapshots[100:]
    assert {s.primary for s in settled} <= {2, None}
    assert sum(s.primary == 2 for s in settled) > 0.7 * len(settled)


def test_snapshots_come_one_a_tick_in_order_with_the_frames_time(usual: list[Snapshot]) -> None:
    assert [s.tick for s in usual] == list(range(TICKS))
    assert [s.time for s in usual] == [tick / 25 for tick in range(TICKS)]
    assert all([face.box.y for face in s.faces] == [s.tick] * 3 for s in usual)


@pytest.mark.parametrize("lag_ms", [-200.0, 0.0, 200.0])
def test_the_look_ahead_is_exactly_as_stated(talk: npt.NDArray[np.float32], lag_ms: float) -> None:
    """Frames: the model's four ticks. Audio: the room lag when it comes later, and what its embedding sees."""
    scorer = Scorer(StandIn(), lag_ms=lag_ms)
    for tick in range(TICKS):
        scorer.push_audio([audio_of(talk, tick)])
    decided = []
    for tick in range(50):
        scorer.push_tracks([tracks(tick)])
        decided += [(s.tick, tick) for s in scorer.advance()]
    assert decided == [(tick, tick + 4) for tick in range(46)]

    scorer = Scorer(StandIn(), lag_ms=lag_ms)
    for tick in range(30):
        scorer.push_tracks([tracks(tick)])
    decided = []
    for tick in range(30):
        scorer.push_audio([audio_of(talk, tick)])
        decided += [(s.tick, tick) for s in scorer.advance()]
    # One more block: the last mel column of a tick's audio looks 2.5 ms beyond the tick's end.
    later = 1 + max(0, round(lag_ms / 40))
    assert decided == [(tick - later, tick) for tick in range(later, 26 + later) if tick < 30]


def test_without_audio_video_alone_decides_when() -> None:
    scorer = Scorer(StandIn(), has_audio=False)
    counts = []
    for tick in range(30):
        scorer.push_tracks([tracks(tick)])
        counts.append(len(scorer.advance()))
    assert counts == [0] * 4 + [1] * 26
    snapshots = scorer.finish()
    assert [s.tick for s in snapshots] == [26, 27, 28, 29]
    assert all(s.state is SpeakingState.SILENCE and len(s.faces) == 3 for s in snapshots)


def test_finishing_decides_the_last_ticks(talk: npt.NDArray[np.float32]) -> None:
    scorer = Scorer(StandIn())
    decided = []
    for tick in range(100):
        scorer.push_tracks([tracks(tick)])
        scorer.push_audio([audio_of(talk, tick)])
        decided += scorer.advance()
    assert len(decided) == 96
    last = scorer.finish()
    assert [s.tick for s in last] == [96, 97, 98, 99]
    assert all(len(s.faces) == 3 for s in last)


def test_finishing_a_session_in_which_nothing_came_gives_nothing() -> None:
    scorer = Scorer(StandIn())
    assert scorer.advance() == [] and scorer.finish() == []


def test_audio_that_ends_early_stalls_nothing(talk: npt.NDArray[np.float32]) -> None:
    scorer = Scorer(StandIn())
    decided = []
    for tick in range(60):
        scorer.push_tracks([tracks(tick)])
        if tick < 40:
            scorer.push_audio([audio_of(talk, tick)])
        decided += scorer.advance()
    decided += scorer.finish()
    assert [s.tick for s in decided] == list(range(60))


@pytest.mark.parametrize("stride", [2, 4])
def test_load_is_shed_by_scoring_fewer_ticks(talk: npt.NDArray[np.float32], stride: int) -> None:
    scorer = Scorer(StandIn())
    snapshots = lock_step(scorer, talk, stride=stride)
    end = TICKS - 4 - stride
    in_run = [s for s in snapshots if s.tick < end]
    assert [s.tick for s in in_run] == list(range(0, end, stride))
    spoken = [s for s in in_run[50:] if s.state is not SpeakingState.SILENCE]
    assert {s.primary for s in spoken} == {2}


@pytest.mark.parametrize("stride", [1, 4])
def test_what_waits_for_a_scored_tick_is_embedded_at_once(talk: npt.NDArray[np.float32], stride: int) -> None:
    model = StandIn()
    looks, listens = Mock(wraps=model.encode_frames), Mock(wraps=model.embed_audio)
    with patch.multiple(model, encode_frames=looks, embed_audio=listens):
        lock_step(Scorer(model), talk, stride=stride)
    for calls in looks.call_count, listens.call_count:
        assert calls <= TICKS / stride + 6  # the beginning and the end


def test_audio_is_embedded_before_its_frames_come(talk: npt.NDArray[np.float32]) -> None:
    model = StandIn()
    listens = Mock(wraps=model.embed_audio)
    with patch.object(model, "embed_audio", listens):
        scorer = Scorer(model)
        for tick in range(TICKS):
            scorer.push_audio([audio_of(talk, tick)])
            assert scorer.advance(4) == []
    assert {len(call.args[0]) for call in listens.call_args_list[1:]} == {4}
    assert listens.call_count >= TICKS // 4 - 1


def assert_same(actual: list[Snapshot], expected: list[Snapshot]) -> None:
    """But for the rounding of products of other sizes."""

    def exact(snapshot: Snapshot) -> Snapshot:
        faces = tuple(replace(face, score=0.0) for face in snapshot.faces)
        return replace(snapshot, speech=0.0, faces=faces, lag=Lag(0.0, 0.0))

    def rounded(snapshots: list[Snapshot]) -> list[list[float]]:
        return [[s.speech, s.lag.confidence, *(face.score for face in s.faces)] for s in snapshots]

    assert [exact(s) for s in actual] == [exact(s) for s in expected]
    np.testing.assert_allclose(rounded(actual), rounded(expected), atol=1e-5)
    assert [s.lag.milliseconds for s in actual] == pytest.approx([s.lag.milliseconds for s in expected], abs=1e-2)


def steps(order: str, ticks: int) -> Iterator[str]:
    """The next input, "frame" or "audio", never more than 20 ticks apart; "decide" at random."""
    rng, frames, chunks = np.random.default_rng(0), 0, 0
    while frames < ticks or chunks < ticks:
        ahead = {"audio first": 20, "frames first": -20}.get(order, int(rng.integers(-20, 21)))
        is_audio = chunks - frames < ahead if frames < ticks and chunks < ticks else chunks < ticks
        chunks, frames = chunks + is_audio, frames + (not is_audio)
        yield "audio" if is_audio else "frame"
        if order != "in bursts" or rng.random() < 0.1:
            yield "decide"


@pytest.mark.parametrize("lag", [-4, 6])
@pytest.mark.parametrize("order", ["audio first", "frames first", "at random", "in bursts"])
def test_it_does_not_matter_what_comes_first(talk: npt.NDArray[np.float32], order: str, lag: int) -> None:
    ticks = 90
    expected = lock_step(Scorer(StandIn(lag)), talk, ticks=range(ticks))
    scorer = Scorer(StandIn(lag))
    frame_ticks, audio_ticks = iter(range(ticks)), iter(range(ticks))
    snapshots = []
    for step in steps(order, ticks):
        if step == "frame":
            scorer.push_tracks([tracks(next(frame_ticks))])
        elif step == "audio":
            scorer.push_audio([audio_of(talk, next(audio_ticks))])
        else:
            snapshots += scorer.advance()
    assert_same(snapshots + scorer.finish(), expected)


def test_ticks_without_a_frame_are_bridged(talk: npt.NDArray[np.float32]) -> None:
    scorer = Scorer(StandIn())
    decided = []
    for tick in range(TICKS):
        if tick % 5 != 2 or tick < 5:
            scorer.push_tracks([tracks(tick)])
        scorer.push_audio([audio_of(talk, tick)])
        decided += scorer.advance()
    decided += scorer.finish()
    assert [s.tick for s in decided] == list(range(TICKS))
    assert all(len(s.faces) == 3 for s in decided)


def test_after_a_stall_old_ticks_are_let_go_and_the_newest_are_scored(talk: npt.NDArray[np.float32]) -> None:
    scorer = Scorer(StandIn())
    for tick in range(TICKS):
        scorer.push_tracks([tracks(tick)])
        scorer.push_audio([audio_of(talk, tick)])
    ticks = [s.tick for s in scorer.advance()]
    assert ticks == list(range(ticks[0], TICKS - 4)) and 20 < len(ticks) < 128


def test_a_face_that_comes_and_goes_is_reported_while_it_is_there(talk: npt.NDArray[np.float32]) -> None:
    def coming(tick: int) -> dict[int, int]:
        shown = talking_and_others(tick)
        return shown if 60 <= tick < 200 else {1: shown[1]}

    for snapshot in lock_step(Scorer(StandIn()), talk, coming):
        assert [f.id for f in snapshot.faces] == ([1, 2, 3] if 60 <= snapshot.tick < 200 else [1])


def test_what_was_not_seen_of_a_face_does_not_count_against_it(talk: npt.NDArray[np.float32]) -> None:
    def away_for_a_moment(tick: int) -> dict[int, int]:
        there = talking_and_others(tick)
        return {i: code for i, code in there.items() if i != 2 or not 150 <= tick < 165}

    back = {
        s.tick: face.score
        for s in lock_step(Scorer(StandIn()), talk, away_for_a_moment)
        for face in s.faces
        if face.id == 2
    }
    always = {s.tick: face.score for s in lock_step(Scorer(StandIn()), talk) for face in s.faces if face.id == 2}
    assert back[166] > 0.6 * always[166] > 0.5


def test_a_model_that_does_not_judge_by_sight_will_do(talk: npt.NDArray[np.float32]) -> None:
    snapshots = lock_step(Scorer(StandIn(has_activity=False)), talk)
    assert {s.primary for s in snapshots[50:-10]} <= {2, None}
    assert sum(s.primary == 2 for s in snapshots[50:-10]) > 0.8 * len(snapshots[50:-10])


def test_values_are_in_their_ranges(usual: list[Snapshot]) -> None:
    for snapshot in usual:
        assert 0 <= snapshot.speech <= 1 and 0 <= snapshot.lag.confidence <= 1
        assert all(0 <= face.score <= 1 for face in snapshot.faces)
        assert (snapshot.primary is None) == (snapshot.state is not SpeakingState.SPEAKING)
