"""A server over stand-in engines as a program: the arguments are the command line's."""

from __future__ import annotations

import argparse
import sys
import threading

from speakerlight.server.listening_socket import listening
from speakerlight.server.options import add_serve_options, serve_settings
from speakerlight.server.server import Server
from tests.stream.server.conftest import STAND_INS


def notify(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    add_serve_options(parser)
    settings = serve_settings(parser.parse_args(), notify)
    assert settings is not None
    with (
        listening(settings) as address,
        Server(address, STAND_INS, notify),
    ):
        notify("serving")
        threading.Event().wait()
