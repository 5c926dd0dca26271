"""What was freed does not stay with the process."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from speakerlight.memory_trim import memory_trimmed

HOLD_UP = """
import os, sys, time
from pathlib import Path
from speakerlight.memory_trim import memory_trimmed

def resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

def hold_up():
    # Blocks that glibc takes from its arena, not from the system one by one; the last one holds the arena's end.
    waiting = [bytearray(b"x" * 60_000) for _ in range(2000)]
    return waiting[-1]

before = resident()
kept = hold_up()
if sys.argv[1] == "kept":
    time.sleep(0.3)
else:
    with memory_trimmed(0.05):
        time.sleep(0.3)
print(resident() - before)
"""


def grown_mib(mode: str) -> float:
    command = [sys.executable, "-c", HOLD_UP, mode]
    run = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60, check=True)
    return float(run.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is returned by glibc alone")
def test_memory_of_a_stall_is_trimmed() -> None:
    assert grown_mib("kept") > 60, "nothing was kept: the test proves nothing"
    assert grown_mib("given back") < 20


def test_its_thread_ends_with_it() -> None:
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError), memory_trimmed(60.0):
        raise ZeroDivisionError
    assert threading.active_count() == before
