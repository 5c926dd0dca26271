"""The demo's bars, on all eight seeds of a minute: what a newcomer sees first must be right."""

from __future__ import annotations

from functools import lru_cache

import pytest

from speakerlight.core.demo import Verdict
from speakerlight.core.errors import InputError
from tests.benchmarks.demo import BARS, SEEDS, judged, mean

pytestmark = pytest.mark.timeout(600)


@lru_cache
def verdict(seed: int) -> Verdict:
    try:
        return judged(seed)
    except InputError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_right_person_is_marked_in_every_seed(seed: int) -> None:
    identity = verdict(seed).identity
    assert identity is not None and identity > 0.9, str(verdict(seed))


@pytest.mark.parametrize("measure", ["identity", "second", "calibration_error"])
def test_the_mean_over_all_seeds_meets_its_bar(measure: str) -> None:
    assert BARS[measure].least <= mean([verdict(seed) for seed in SEEDS], measure) <= BARS[measure].most


def test_off_screen_turns_are_reported() -> None:
    assert mean([verdict(seed) for seed in SEEDS], "offscreen") >= BARS["offscreen"].least
