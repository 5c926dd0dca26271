"""A server over stand-in engines as a program: the arguments are the command line's."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from speakerlight.engine import Engine
from speakerlight.server.listener import listening
from speakerlight.server.options import add_serve_options, serve_settings
from speakerlight.server.room import Engines
from speakerlight.server.server import Server

from tests.stream.standin import stand_in


@contextmanager
def engine(has_audio: bool) -> Iterator[Engine]:
    yield stand_in(has_audio)


def notify(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    add_serve_options(parser)
    settings = serve_settings(parser.parse_args(), notify)
    assert settings is not None
    with (
        listening(settings) as address,
        Server(address, Engines(engine, "stand-in", "cpu"), notify, local=False),
    ):
        notify("serving")
        threading.Event().wait()
