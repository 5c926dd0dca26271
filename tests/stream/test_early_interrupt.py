"""Ctrl-C before the program runs, and more than once: it ends without a traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest

INTERRUPTED = """
import os, signal, time
{before}
from speakerlight import early_interrupt
early_interrupt.install()
{after}
os.kill(os.getpid(), signal.SIGINT)
time.sleep(0.2)
print("went on")
"""

LISTENING = "signal.signal(signal.SIGINT, signal.default_int_handler)"
"""As from a terminal: a shell's background jobs ignore Ctrl-C, and their children do."""


@pytest.mark.parametrize(
    ("before", "after", "status", "printed"),
    [
        (LISTENING, "", 0, ""),
        ("signal.signal(signal.SIGINT, signal.SIG_IGN)", "", 0, "went on\n"),
        (LISTENING, "early_interrupt.remove()", -2, ""),
    ],
    ids=["while importing", "ignored by the caller", "once the program runs"],
)
def test_the_first_ctrl_c_ends_the_program(before: str, after: str, status: int, printed: str) -> None:
    code = INTERRUPTED.format(before=before, after=after)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.returncode == status and ended.stdout == printed
    assert ("KeyboardInterrupt" in ended.stderr) == (status != 0)


@pytest.mark.parametrize("body", ["raise KeyboardInterrupt", "return 1"])
def test_more_of_them_while_the_first_is_answered_do_not_matter(body: str) -> None:
    code = f"""
import os, signal, sys
from speakerlight import command_line
def main():
    {body}
command_line.main = main
sys.stdout.flush = lambda: os.kill(os.getpid(), signal.SIGINT)  # at the very end
command_line.command()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.returncode == (1 if "return" in body else 0) and not ended.stderr
