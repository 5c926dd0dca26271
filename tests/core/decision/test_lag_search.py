"""Audio that is seconds off: found, reported once with what to do, and never where there is none."""

from __future__ import annotations

from unittest.mock import Mock

import numpy as np
import numpy.typing as npt
import pytest

from speakerlight.core.decision.lag_search import FARTHEST_TICKS, SEARCH_TICKS, LagSearch, far_lag

COUNT, SIZE = 100, 32


def vectors(seed: int, count: int) -> npt.NDArray[np.float32]:
    out = np.random.default_rng(seed).normal(size=(count, SIZE)).astype(np.float32)
    return np.asarray(out / np.linalg.norm(out, axis=1, keepdims=True))


def streams(lag: int, likeness: float = 0.5) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Two faces, of which the second matches the audio at ``lag`` ticks, as clearly as real ones."""
    audio = vectors(0, COUNT + 2 * FARTHEST_TICKS)
    own = audio[FARTHEST_TICKS + lag : FARTHEST_TICKS + lag + COUNT]
    second = likeness * own + (1 - likeness) * vectors(1, COUNT)
    return np.stack([vectors(2, COUNT), second / np.linalg.norm(second, axis=1, keepdims=True)]), audio


@pytest.mark.parametrize("lag", [-75, -40, 16, 50, 74])
def test_a_far_lag_is_found(lag: int) -> None:
    assert far_lag(*streams(lag)) == lag


@pytest.mark.parametrize("lag", [-15, 0, 7])
def test_a_lag_that_is_compared_anyway_is_none(lag: int) -> None:
    assert far_lag(*streams(lag)) is None


def test_other_peoples_audio_has_no_lag() -> None:
    audio = vectors(9, COUNT + 2 * FARTHEST_TICKS)
    assert far_lag(np.stack([vectors(k, COUNT) for k in range(1, 9)]), audio) is None
    assert far_lag(np.zeros((1, COUNT, SIZE), np.float32), np.zeros_like(audio)) is None


def run(lag: int, no_speaker: float) -> list[str]:
    faces, audio = streams(lag)
    lines: list[str] = []
    search = LagSearch(lines.append)
    for tick in range(SEARCH_TICKS, SEARCH_TICKS + 600):
        shown = Mock(vectors=Mock(return_value=faces))
        heard = Mock(vectors=Mock(return_value=(audio, np.ones(len(audio), np.bool_))))
        search.update(tick, [1, 2], 0.9, no_speaker, 1, shown, heard)
    return lines


def test_it_is_reported_once_with_the_flag_that_mends_it() -> None:
    lines = run(50, no_speaker=0.9)
    assert len(lines) == 1 and "--lag 2000" in lines[0] and "2.0 s later" in lines[0]
    assert "--lag -1600" in run(-40, no_speaker=0.9)[0] and "earlier" in run(-40, no_speaker=0.9)[0]


def test_nothing_is_searched_while_faces_explain_the_speech() -> None:
    assert run(50, no_speaker=0.2) == []
