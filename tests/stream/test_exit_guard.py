"""Exit guard: a library's exit becomes a call, and nothing is left of the guard afterwards."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc only")

CODE = """
import ctypes, threading
from speakerlight.exit_guard import exit_guarded

def instead():
    thread = threading.Thread(target=lambda: print("still runs", flush=True))
    thread.start()
    thread.join()
    {ending}
    return 3

with exit_guarded(instead):
    {inside}
{after}
"""


def run(inside: str = "pass", after: str = "", ending: str = "pass") -> tuple[int, str]:
    code = CODE.format(inside=inside, after=after, ending=ending)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    return ended.returncode, ended.stdout


def test_an_exit_becomes_a_call_whose_result_is_the_status() -> None:
    assert run(inside="ctypes.CDLL(None).exit(1)") == (3, "still runs\n")


def test_a_call_that_fails_ends_the_process_with_status_1() -> None:
    assert run(inside="ctypes.CDLL(None).exit(0)", ending="raise OSError")[0] == 1


def test_afterwards_a_process_ends_as_ever() -> None:
    assert run() == (0, "")
    assert run(after="raise SystemExit(5)") == (5, "")
    assert run(after="ctypes.CDLL(None).exit(6)") == (6, "")
