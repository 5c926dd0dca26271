"""Properties that hold for any input at the boundaries: audio samples, frame timestamps, bytes of a container.

``python -m tests.benchmarks fuzz`` runs these, and every other hypothesis test, for as long as wanted.
"""

from __future__ import annotations

import io
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from speakerlight.command_line import main
from speakerlight.core.audio.logmel import COMPACT_MEL, EXPERT_MEL, MelSettings, StreamingLogMel
from speakerlight.core.demo import Demo, DemoSettings
from speakerlight.core.grid import TickGrid
from speakerlight.core.media import Frame, Samples, cleaned
from speakerlight.core.models.audio_stream import AudioEncoderStream
from speakerlight.core.models.compact import Compact
from speakerlight.core.models.compact_loading import load_compact
from speakerlight.core.timebase import SAMPLE_RATE, TICK_RATE
from tests.stream.sources.conftest import Clip

FORGOTTEN_SECONDS = 2.0
"""Whatever an audio stream held before may count for this long."""

MOST_MEAN_DIFFERENCE = 0.05
"""Of speech probabilities after that: the network's state fades, it is not cut off."""

SPEECH_SECONDS = 4.0

HELD = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@lru_cache
def compact() -> Compact:
    return load_compact("cpu")


@lru_cache
def speech() -> Samples:
    demo = Demo(DemoSettings(people=1, seed=2))
    return demo.audio(SAMPLE_RATE // 2, int(SPEECH_SECONDS * SAMPLE_RATE))


damaged = arrays.arrays(
    np.float32,
    st.integers(0, 4000),
    elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
    fill=st.floats(width=32, allow_nan=True, allow_infinity=True),
)
"""Any float32: NaN, Inf, subnormal, beyond full scale; mostly one value, which is silence or a constant."""

tones = st.builds(
    lambda level, hertz, count: np.asarray(level * np.sign(np.sin(hertz * np.arange(count))), np.float32),
    st.floats(0, 1e6),
    st.floats(0, 3),
    st.integers(0, 40_000),
)
noises = st.builds(
    lambda level, seed, count: np.asarray(np.random.default_rng(seed).normal(0, level, count), np.float32),
    st.floats(0, 1e6),
    st.integers(0, 2**32),
    st.integers(0, 40_000),
)
any_audio = st.one_of(damaged, tones, noises)


def encoded(before: Samples) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Speech probabilities and embeddings of all ticks of ``before``, padded to whole ticks, and speech after it."""
    padding = np.zeros(-len(before) % (SAMPLE_RATE // TICK_RATE * 16), np.float32)
    samples = np.concatenate([before, padding, speech()])
    stream = AudioEncoderStream(compact(), len(samples) // 640 + 1)
    with np.errstate(all="raise", under="ignore"):
        for start in range(0, len(samples), 7777):
            stream.push_audio(samples[start : start + 7777])
    ticks = np.arange(stream.through + 1)
    return stream.speech(ticks), stream.vectors(ticks, stream.through)[0]


@HELD
@given(any_audio)
def test_any_audio_gives_finite_probabilities_and_embeddings(audio: Samples) -> None:
    probabilities, vectors = encoded(audio)
    assert np.isfinite(probabilities).all() and probabilities.min() >= 0 and probabilities.max() <= 1
    assert np.isfinite(vectors).all()


@HELD
@given(damaged)
def test_any_damage_is_forgotten_in_two_seconds(before: Samples) -> None:
    """After it the same probabilities and embeddings come as after silence."""
    probabilities, vectors = encoded(before)
    count = int((SPEECH_SECONDS - FORGOTTEN_SECONDS) * TICK_RATE)
    expected, expected_vectors = encoded(np.zeros_like(before))
    assert np.abs(probabilities - expected)[-count:].mean() <= MOST_MEAN_DIFFERENCE
    assert np.array_equal(vectors[-count:], expected_vectors[-count:]), "an embedding sees 0.44 s"


@given(any_audio, st.integers(1, 9000), st.sampled_from([COMPACT_MEL, EXPERT_MEL]))
def test_log_mel_of_any_audio_stays_in_range_however_it_is_cut(
    audio: Samples, block: int, mel_settings: MelSettings
) -> None:
    samples = cleaned(audio)
    whole, pieces = StreamingLogMel(mel_settings), StreamingLogMel(mel_settings)
    columns = whole.push(samples)
    cut = [pieces.push(samples[start : start + block]) for start in range(0, len(samples), block)]
    assert np.abs(columns).max(initial=0.0) <= mel_settings.half_range
    assert np.allclose(np.concatenate([columns[:0], *cut]), columns, atol=1e-4)


times = st.one_of(
    st.lists(st.floats(-1e9, 1e9), max_size=60),
    st.lists(st.floats(0, 0.2), max_size=200).map(lambda gaps: np.cumsum(gaps).tolist()),
    st.lists(st.sampled_from([0.04, -0.04, 0.0, 1e-9, 30.0, 1 / 30]), max_size=200).map(
        lambda g: np.cumsum(g).tolist()
    ),
)


@given(times)
def test_any_timestamps_give_increasing_ticks(moments: list[float]) -> None:
    grid, image = TickGrid(), np.zeros((1, 1, 3), np.uint8)
    ticks = [(tick, frame) for time in moments for tick, frame in grid.push(Frame(time, image))]
    assert all(first < second for (first, _), (second, _) in pairwise(ticks))
    assert all(tick >= 0 for tick, _ in ticks)
    assert all(abs(frame.time - tick / TICK_RATE) <= 1.0 for tick, frame in ticks if frame is not None)


CONTAINERS = {
    "mkv": Clip(times=tuple(np.arange(15) / 25), size=(64, 48), sound_seconds=0.6, sound_rate=16_000, layout="mono"),
    "mp4": Clip(times=tuple(np.arange(15) / 25), size=(64, 48), sound_seconds=0.6, sound_codec="aac"),
    "ts": Clip(times=tuple(np.arange(15) / 25), size=(64, 48), sound_seconds=0.6, sound_codec="aac"),
    "avi": Clip(times=tuple(np.arange(9) / 25), size=(64, 48), video_codec="mjpeg", sound_seconds=0.4),
    "wav": Clip(times=None, sound_seconds=0.6, sound_rate=8_000, layout="mono"),
}


@lru_cache
def recording(kind: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return CONTAINERS[kind].write(Path(folder) / f"clip.{kind}").read_bytes()


place = st.floats(0, 1, exclude_max=True)
edits = st.lists(
    st.one_of(
        st.tuples(st.just("overwrite"), place, st.binary(min_size=1, max_size=16)),
        st.tuples(st.just("insert"), place, st.binary(min_size=1, max_size=64)),
        st.tuples(st.just("remove"), place, st.binary(min_size=1, max_size=64)),
        st.tuples(st.just("repeat"), place, st.binary(min_size=1, max_size=64)),
        st.tuples(st.just("end"), place, st.just(b"")),
    ),
    min_size=1,
    max_size=8,
)


def edited(content: bytes, changes: list[tuple[str, float, bytes]]) -> bytes:
    for kind, where, new in changes:
        at = int(where * len(content))
        match kind:
            case "overwrite":
                content = content[:at] + new + content[at + len(new) :]
            case "insert":
                content = content[:at] + new + content[at:]
            case "remove":
                content = content[:at] + content[at + len(new) ** 2 :]
            case "repeat":
                content = content[:at] + content[at : at + len(new) ** 2] + content[at:]
            case _:
                content = content[:at]
    return content


@HELD
@given(st.sampled_from(list(CONTAINERS)), edits)
def test_any_bytes_of_a_container_give_a_run_or_one_line(
    tmp_path: Path, stand_ins: None, kind: str, changes: list[tuple[str, float, bytes]]
) -> None:
    path = tmp_path / f"damaged.{kind}"
    path.write_bytes(edited(recording(kind), changes))
    lines, events = io.StringIO(), io.StringIO()
    with redirect_stderr(lines), redirect_stdout(events):
        status = main(["--video", str(path), "--fast", "--no-window", "--duration", "20"])
    reported = lines.getvalue()
    assert "Traceback" not in reported and status in (0, 2), reported
    if status == 2:
        assert reported.count("\n") == 1, reported
