"""Several rooms at once: browsers on this machine, each with two people before its camera, on one server.

What a browser without a graphics card takes is part of the load: more than the server does.
"""

from __future__ import annotations

import tempfile
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright
from prometheus_client.parser import text_string_to_metric_families

from speakerlight.core.demo import Demo, DemoSettings
from speakerlight.core.errors import InputError
from tests.benchmarks.engine import cpu_seconds
from tests.benchmarks.measure import Row, Spread, exactly, spread
from tests.stream.server.chromium import (
    CHROMIUM,
    Event,
    Footage,
    at_once,
    camera_behind_seconds,
    chromium,
    identity,
    is_reported,
    kept,
    rounds,
    write_demo,
)
from tests.stream.server.test_server_factory import command

SIZE = (640, 360)
DEMO_SECONDS = 14.0
PEOPLE = 2
FIRST_SEED = 5

Buckets = dict[float, float]
"""A bucket of a histogram: number of values up to a bound."""


def rooms(browsers: int, seconds: float) -> list[Row]:
    """Capture to event in each third of the time, and who was named in every round of the footage."""
    if CHROMIUM is None:
        raise InputError("rooms: measured with Chromium only (Debian package chromium)")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        shows = [_show(Path(folder), FIRST_SEED + number) for number in range(browsers)]
        playwright = stack.enter_context(sync_playwright())
        process, url = stack.enter_context(command())
        opened = [stack.enter_context(chromium(playwright, footage)) for _, footage in shows]
        pages, received = stack.enter_context(at_once(opened, url))
        used, seen, late_seconds = cpu_seconds(process.pid), _latency(url), []
        for _ in range(3):
            pages[0].wait_for_timeout(1000 * seconds / 3)
            before, seen = seen, _latency(url)
            late_seconds.append(_quantile(before, seen, 0.95))
        cores = (cpu_seconds(process.pid) - used) / seconds
        named = [_named(*show, events) for show, events in zip(shows, received, strict=True)]
        behind = [camera_behind_seconds(page, footage) for page, (_, footage) in zip(pages, shows, strict=True)]
    worst = " ".join(str(max((event["level"] for event in kept(events, "load")), default=0)) for events in received)
    return [
        _row("capture to event, p95", browsers, spread(late_seconds), "s", f"thirds {_listed(late_seconds)}"),
        _row("cores used by the server", browsers, exactly(cores), "cores", f"worst load levels {worst}"),
        _row(
            "identity, each round",
            browsers,
            spread([share for shares in named for share in shares]),
            "share",
            f"rooms {_listed([float(np.mean(shares)) for shares in named])}, cameras behind {_listed(behind)} s",
        ),
    ]


def _show(folder: Path, seed: int) -> tuple[Demo, Footage]:
    demo = Demo(DemoSettings(PEOPLE, seed, DEMO_SECONDS, *SIZE))
    return demo, write_demo(demo, DEMO_SECONDS, folder / str(seed))


def _named(demo: Demo, footage: Footage, events: Sequence[Event]) -> list[float]:
    whole = [beginning for beginning in rounds(events) if is_reported(events, footage.seconds, beginning)]
    return [identity(events, demo, footage, beginning) for beginning in whole]


def _latency(url: str) -> Buckets:
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        families = text_string_to_metric_families(answer.read().decode())
        samples = [sample for family in families for sample in family.samples]
    buckets = [sample for sample in samples if sample.name == "speakerlight_event_latency_seconds_bucket"]
    return {float(bucket.labels["le"]): bucket.value for bucket in buckets}


def _quantile(before: Buckets, after: Buckets, share: float) -> float:
    """Percentile of the values between two histograms, in seconds; buckets are assumed to be filled evenly."""
    edges = np.array([0.0, *after])
    counts = np.array([0.0, *(after[edge] - before[edge] for edge in after)])
    edges[-1] = 2 * edges[-2]  # the last one has no end
    return float(np.interp(share * counts[-1], counts, edges))


def _listed(values: Sequence[float]) -> str:
    return " ".join(f"{value:.2f}" for value in values)


def _row(measure: str, browsers: int, value: Spread, unit: str, note: str) -> Row:
    return Row("rooms", measure, "compact", browsers, value, unit, note=note)
