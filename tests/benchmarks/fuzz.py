"""Fuzzing: runs every property test of the suite with new examples, in rounds, for a given time.

Files, SDP, JSON, timestamps and audio each have such tests. A round is one pytest run with a seed of its own, so a
crash or a hang of the process is a failure as well. Exit status 1, with the command that repeats it, at the first one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).parents[2]
MARK = "from hypothesis import"
"""Files that contain this have property tests."""

HANG_SECONDS = 900
"""Timeout of one test with all its 100 examples: twenty times what the slowest takes on a machine with other work."""


def property_files(folder: Path = ROOT / "tests") -> list[str]:
    """Test files with property tests, relative to the repository."""
    found = (path for path in sorted(folder.rglob("test_*.py")) if MARK in path.read_text(encoding="utf-8"))
    return [path.relative_to(ROOT).as_posix() for path in found]


def round_command(files: list[str], seed: int) -> list[str]:
    """The command of one round."""
    plugin = ["--hypothesis-profile=fuzz", f"--hypothesis-seed={seed}", "-m", "hypothesis"]
    # A signal is not handled while a library's loop never returns; the thread ends the process.
    limit = [f"--timeout={HANG_SECONDS}", "--timeout-method=thread"]
    return [sys.executable, "-m", "pytest", "-x", *limit, *plugin, *files]


def main(arguments: list[str]) -> int:
    """Run rounds until the time is over; status 1 at the first failure."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0, help="of the first round; each round adds one")
    parser.add_argument("files", nargs="*", help="default: every test file with property tests")
    given = parser.parse_args(arguments)
    files, seed, end = given.files or property_files(), given.seed, monotonic() + 60 * given.minutes
    while monotonic() < end:
        command = round_command(files, seed)
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            print(done.stdout)
            print(f"seed {seed} failed; repeat with: {' '.join(command)}")
            return 1
        print(f"seed {seed}: {done.stdout.strip().rpartition(chr(10))[2]}", flush=True)
        seed += 1
    return 0
