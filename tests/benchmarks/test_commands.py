"""Commands by each way in: acknowledged, seen by a second client, in force."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("aiortc", reason="the extra [web] is not installed: pip install '.[web]'")

from speakerlight.core.decision.commands import SCHEMA
from tests.benchmarks.commands import STEPS, WAYS, measured

LIMIT_MS = 5000.0
"""Fifty times what the benchmark asks for: a test shares its machine with others."""


def test_every_command_of_the_schema_is_measured() -> None:
    assert {step.command["type"] for step in STEPS} == {each["properties"]["type"]["const"] for each in SCHEMA["oneOf"]}


@pytest.mark.parametrize("way", WAYS)
def test_every_command_is_acknowledged_seen_by_a_second_client_and_in_force(way: str) -> None:
    for step, each in asyncio.run(measured(way, 1)):
        assert 0 < each.acknowledged < LIMIT_MS, step.name
        assert 0 < each.seen < LIMIT_MS and 0 < each.in_force < LIMIT_MS, step.name
