"""Demo source: ``demo[:people=N,seed=K]``, an endless recording of people drawn and voiced by the program."""

from __future__ import annotations

import re
from collections.abc import Iterator

from speakerlight.core.demo import Demo, DemoSettings
from speakerlight.core.errors import InputError
from speakerlight.core.media import AudioChunk, Frame


def parse_demo(spec: str) -> DemoSettings:
    """Settings from the text. Raises InputError with one line that shows the form."""
    given: dict[str, int] = {}
    for part in spec.removeprefix("demo").removeprefix(":").split(",") if spec != "demo" else ():
        match = re.fullmatch(r"(people|seed)=(\d{1,9})", part)
        if not match or match[1] in given:
            raise InputError(f"{spec}: write demo, or demo:people=N,seed=K with whole numbers")
        given[match[1]] = int(match[2])
    try:
        return DemoSettings(**given, seconds=None)
    except InputError as error:
        raise InputError(f"{spec}: {error}") from error


class DemoReader:
    """The demo as a ``MediaReader``."""

    has_video = has_audio = True
    duration_seconds = None

    def __init__(self, spec: str) -> None:
        """Raises InputError for a spec that cannot be read."""
        self.demo = Demo(parse_demo(spec))
        self.name = spec

    @property
    def frame_size(self) -> tuple[int, int]:
        return self.demo.settings.size

    @property
    def frame_rate(self) -> float:
        return self.demo.settings.rate

    def __iter__(self) -> Iterator[Frame | AudioChunk]:
        return self.demo.play()

    def close(self) -> None:
        """Nothing is held open."""
