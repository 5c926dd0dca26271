"""``demo[:people=N,seed=K]``: the people that the program draws and voices itself, as a recording."""

from __future__ import annotations

import re
from dataclasses import dataclass

from core.errors import InputError
from stream.sources.source import MediaReader

MOST_PEOPLE = 25


@dataclass(frozen=True)
class DemoSettings:
    """How many people (1 to MOST_PEOPLE), and the seed that decides all else."""

    people: int = 3
    seed: int = 0


def parse_demo(spec: str) -> DemoSettings:
    """Raises InputError with one line that shows how to write it."""
    if spec == "demo":
        return DemoSettings()
    given: dict[str, int] = {}
    for part in spec.removeprefix("demo:").split(","):
        match = re.fullmatch(r"(people|seed)=(\d{1,9})", part)
        if not match or match[1] in given:
            raise InputError(f"{spec}: write demo, or demo:people=N,seed=K with whole numbers")
        given[match[1]] = int(match[2])
    settings = DemoSettings(**given)
    if not 1 <= settings.people <= MOST_PEOPLE:
        raise InputError(f"{spec}: people must be 1 to {MOST_PEOPLE}")
    return settings


def open_demo(spec: str) -> MediaReader:
    """The demo as a recording. Raises InputError for a spec that cannot be read."""
    settings = parse_demo(spec)
    raise InputError(f"demo with {settings.people} people, seed {settings.seed}: core.demo has no reader yet")
