"""GPU benchmark: tests on CUDA, stages, the largest batch within a tick, and the README's open rows.

Takes less than five minutes. The share of the GPU's matrix rate is measured alternately with a matrix product, so that
both run at the same clock and temperature. Without a GPU: one line, status 2.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import torch

from speakerlight.core.errors import InputError
from speakerlight.core.models.expert import FRAMES
from speakerlight.core.models.lipsync import LipSyncModel
from speakerlight.core.timebase import TICK_RATE
from tests.benchmarks.engine import ROOT
from tests.benchmarks.measure import Row, Spread, exactly, header, line, spread, write_json
from tests.benchmarks.scene import MODELS, model
from tests.benchmarks.stages import model_stages

WINDOWS = 512
MATRIX = 8192
GMAC_A_WINDOW = 1.11
"""Multiply-accumulates of the expert's face encoder, in 10⁹ a window; each is two operations."""

WARM_UP_ROUNDS = 10
FACES = (1, 8, 25)
FACES_A_ROOM = 2
TICK_MS = 1000 / TICK_RATE
MOST_WINDOWS = 8192
TESTS = "tests/core/models/test_cuda_graph.py"
TEST_SECONDS = 100
SHARE_BAR, FACES_BAR = 0.2, 2_000


def card(device: str, rounds: int) -> list[Row]:
    """Measure matrix rate and encoder alternately."""
    expert = model("expert", device)
    windows = _windows(WINDOWS, device)
    a, b = (torch.randn(MATRIX, MATRIX, device=device, dtype=torch.bfloat16) for _ in range(2))
    matrix_ms, encode_ms = [], []
    for index in range(-WARM_UP_ROUNDS, rounds):
        matrix = _milliseconds(lambda: a @ b)
        encode = _milliseconds(lambda: expert.embed_faces(windows))
        if index >= 0:
            matrix_ms.append(matrix)
            encode_ms.append(encode)
    rate = [2 * MATRIX**3 / ms / 1e9 for ms in matrix_ms]
    reached = [2 * GMAC_A_WINDOW * WINDOWS / ms for ms in encode_ms]
    shares = [r / m for r, m in zip(reached, rate, strict=True)]
    faces = [1000 * WINDOWS / ms / TICK_RATE for ms in encode_ms]
    return [
        _row("bf16 matrix rate", spread(rate), "TFLOP/s"),
        _row(f"encode {WINDOWS} windows", spread(encode_ms), "ms"),
        _row("share of the matrix rate", spread(shares), "share"),
        _row("faces at 25 a second", spread(faces), "faces"),
    ]


def largest_batch(encode_ms: Callable[[int], float], limit_ms: float = TICK_MS, most: int = MOST_WINDOWS) -> int:
    """The largest power of two, up to ``most``, of windows that take at most ``limit_ms``; 0 when one takes longer."""
    count = 1
    while count <= most and encode_ms(count) <= limit_ms:
        count *= 2
    return count // 2


def batch_rows(used: LipSyncModel, device: str) -> list[Row]:
    """The expert's largest batch within a tick, and the number of rooms of two people that it serves."""

    def encode_ms(count: int) -> float:
        windows = _windows(count, device)
        for _ in range(3):
            used.embed_faces(windows)
        begun = perf_counter()
        for _ in range(3):
            used.embed_faces(windows)  # returns arrays, so the card has finished
        return 1000 * (perf_counter() - begun) / 3

    batch = largest_batch(encode_ms)
    note = f"{FACES_A_ROOM} people a room, scoring only; power of two"
    return [
        _row("largest batch in a tick", exactly(batch), "windows"),
        Row("gpu", "rooms a card", "expert", 0, exactly(batch // FACES_A_ROOM), "rooms", note=note),
    ]


def readme_rows(rows: list[Row]) -> list[str]:
    """The two open lines of the README's table."""
    by_name = {row.measure: row.value.median for row in rows}
    share, faces = by_name["share of the matrix rate"], by_name["faces at 25 a second"]
    return [
        f"| GPU, `expert`: share of the card's bf16 matrix rate | ≥ {SHARE_BAR} | `B gpu` | {share:.2f} |",
        f"| GPU, `expert`: faces at 25 a second, scoring only | {FACES_BAR:,} | `B gpu` | {faces:,.0f} |",
    ]


def main(arguments: list[str]) -> int:
    """Print tests, table and README rows; status 1 when a test fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks gpu", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        raise InputError("gpu: PyTorch finds no CUDA card here; nothing was measured")
    print(torch.cuda.get_device_name(), flush=True)
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", TESTS, "-q", "-p", "no:cacheprovider"], cwd=ROOT, timeout=TEST_SECONDS
    )
    print(header(), flush=True)
    rows: list[Row] = []
    for name in MODELS:
        for faces in FACES:
            rows += _shown(model_stages(name, faces, "cuda", given.rounds))
    rows += _shown(card("cuda", given.rounds))
    rows += _shown(batch_rows(model("expert", "cuda"), "cuda"))
    print("\nfor tests/benchmarks/README.md:", *readme_rows(rows), sep="\n")
    if given.json:
        write_json(given.json, rows)
    return int(tested.returncode != 0)


def _shown(rows: list[Row]) -> list[Row]:
    for row in rows:
        print(line(row), flush=True)
    return rows


def _windows(count: int, device: str) -> torch.Tensor:
    return torch.randint(0, 256, (count, FRAMES, 48, 96, 3), dtype=torch.uint8, device=device)


def _milliseconds(call: Callable[[], object]) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()
    call()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end))


def _row(measure: str, value: Spread, unit: str) -> Row:
    return Row("gpu", measure, "expert", WINDOWS if unit == "ms" else 0, value, unit)
