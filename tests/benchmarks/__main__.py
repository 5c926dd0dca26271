"""Benchmarks: ``python -m tests.benchmarks [SECTION ...]`` for speed, ``… COMMAND`` for the rest.

Sections give a table and JSON; all of them by default. A command is a module of this package with a
``main(arguments) -> int``, its exit status; ``COMMAND --help`` explains it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import speakerlight  # noqa: F401  # first: it settles the order in which OpenCV and PyAV are loaded
from speakerlight.core.errors import InputError
from speakerlight.core.models.lipsync import choose_device
from speakerlight.model_cache import fetch
from speakerlight.model_files import BLAZEFACE_SHORT
from tests.benchmarks.engine import SECTIONS, RunFailedError, whole_engine
from tests.benchmarks.measure import Row, header, line, write_json
from tests.benchmarks.scene import MODELS
from tests.benchmarks.stages import model_stages, scaling, vision_stages, whole_tick

FACES = (1, 2, 4, 8, 16, 25)
ROOMS = (2, 4)
CHOICES = ("stages", "scaling", *SECTIONS, "rooms")
COMMANDS = (
    "commands",
    "decision",
    "demo",
    "diarization",
    "faults",
    "fuzz",
    "gpu",
    "join",
    "load",
    "load_scorer",
    "obs",
    "peers",
    "recognition",
    "soak",
    "whip",
)
"""Modules with their own command line."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command, or measure sections, print and write them; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in COMMANDS:
        return _command(arguments[0], arguments[1:])
    given = _parser().parse_args(arguments)
    rows = []
    print(header())
    try:
        for row in _measured(given):
            rows.append(row)
            print(line(row), flush=True)
    except (InputError, RunFailedError) as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        if given.json:
            write_json(given.json, rows)
    return 0


def _command(name: str, arguments: list[str]) -> int:
    try:
        status: int = import_module(f"tests.benchmarks.{name}").main(arguments)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=__doc__, epilog=f"commands: {', '.join(COMMANDS)}"
    )
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"{', '.join(CHOICES)}; rooms only by name")
    parser.add_argument("--model", choices=MODELS, action="append", help="default: both for stages, else compact")
    parser.add_argument(
        "--faces", type=int, nargs="+", help="default: 1 to 25 for stages, else those of the table; of rooms: how many"
    )
    parser.add_argument("--device", default="cpu", help="for stages and scaling: cpu, cuda or mps")
    parser.add_argument("--rounds", type=int, default=30, help="of stages and scaling")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each whole run")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser


def _measured(given: argparse.Namespace) -> Iterator[Row]:
    device = choose_device(given.device)
    for section in given.sections or ["stages", "scaling", *SECTIONS]:
        if section == "stages":
            yield from _stages(given)
        elif section == "scaling":
            for name in given.model or MODELS[:1]:
                yield from scaling(name, given.faces or FACES, device, fetch(BLAZEFACE_SHORT), given.rounds)
        elif section == "rooms":
            yield from _rooms(given)
        elif section in SECTIONS:
            for name in given.model or MODELS[:1]:
                yield from whole_engine(section, name, tuple(given.faces or ()), given.seconds)
        else:
            raise InputError(f"{section}: choose from {', '.join((*CHOICES, *COMMANDS))}")


def _stages(given: argparse.Namespace) -> Iterator[Row]:
    device, detector_file = choose_device(given.device), fetch(BLAZEFACE_SHORT)
    for people in given.faces or FACES:
        yield from vision_stages(people, detector_file, given.rounds)
        for name in given.model or MODELS:
            yield from model_stages(name, people, device, given.rounds)
            yield from whole_tick(name, people, device, detector_file, given.rounds)


def _rooms(given: argparse.Namespace) -> Iterator[Row]:
    try:
        from tests.benchmarks.rooms import rooms
    except ImportError as error:
        raise InputError(f"rooms: {error.name} is missing: pip install '.[test]'") from error
    for browsers in given.faces or ROOMS:
        yield from rooms(browsers, given.seconds)


if __name__ == "__main__":
    sys.exit(main())
