"""Latency percentiles: within 1.1 % of the exact ones, in fixed memory."""

from __future__ import annotations

import math

import numpy as np
import pytest

from speakerlight.core.events import Percentiles
from speakerlight.latency import LONGEST_MS, SHORTEST_MS, LatencyHistogram


def filled(values: list[float]) -> LatencyHistogram:
    histogram = LatencyHistogram()
    for value in values:
        histogram.add(value)
    return histogram


def test_percentiles_are_within_the_stated_error() -> None:
    values = np.random.default_rng(7).lognormal(4.0, 0.8, 20_000)
    found = filled(list(values)).percentiles()
    for share, value in ((50, found.p50), (95, found.p95), (99, found.p99)):
        assert value == pytest.approx(np.percentile(values, share, method="inverted_cdf"), rel=0.011)


def test_one_value_is_every_percentile() -> None:
    found = filled([80.0]).percentiles()
    assert found.p50 == found.p95 == found.p99 == pytest.approx(80.0, rel=0.011)


def test_nothing_measured_is_no_number() -> None:
    assert LatencyHistogram().percentiles() == Percentiles(None, None, None)


def test_what_is_out_of_range_counts_as_the_bound_and_what_is_no_number_not_at_all() -> None:
    assert filled([-5.0, 0.0, math.nan]).percentiles().p99 == pytest.approx(SHORTEST_MS)
    assert filled([1e9, math.inf]).percentiles().p50 == pytest.approx(LONGEST_MS, rel=0.011)
