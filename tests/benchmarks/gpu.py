"""The expert on a CUDA card: how much of the card's own matrix rate it reaches, and how many faces that is."""

from __future__ import annotations

from collections.abc import Callable

import torch

from speakerlight.core.models.expert import FRAMES
from speakerlight.core.timebase import TICK_RATE
from tests.benchmarks.measure import Row, Spread, spread
from tests.benchmarks.scene import model

WINDOWS = 512
MATRIX = 8192
GMAC_A_WINDOW = 1.11
"""Of the expert's face encoder; one multiply-accumulate is two operations."""

WARM_UP_ROUNDS = 10


def gpu(device: str, rounds: int) -> list[Row]:
    """Matrix rate and encoder by turns, so that both see the same clock and heat."""
    expert = model("expert", device)
    windows = torch.randint(0, 256, (WINDOWS, FRAMES, 48, 96, 3), dtype=torch.uint8, device=device)
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


def _milliseconds(call: Callable[[], object]) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()
    call()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end))


def _row(measure: str, value: Spread, unit: str) -> Row:
    return Row("gpu", measure, "expert", WINDOWS if unit == "ms" else 0, value, unit)
