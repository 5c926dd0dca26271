"""A batch divided among the cores: its parts side by side, in threads that nobody ever waits for in vain.

PyTorch's own threads meet after every layer, so one that the other stages keep from its core holds up all the others.
Here they meet once a batch, and a part that no thread has begun by then is computed by the caller.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import torch
from speakerlight.core.models.cuda_graph import Function


def split_over_cores(function: Function) -> Function:
    """``function``, which must bear several calls at once, with a batch's rows divided among the usable cores."""
    cores = usable_cores()
    if cores == 1:
        return function
    threads = ThreadPoolExecutor(cores - 1, thread_name_prefix="part")

    def compute(rows: torch.Tensor) -> torch.Tensor:
        own, *others = rows.chunk(cores)
        futures = [threads.submit(function, part) for part in others]
        first = function(own)
        # From the end, which threads begin last. What can be cancelled was not begun.
        later = [
            function(part) if future.cancel() else future.result()
            for future, part in zip(reversed(futures), reversed(others), strict=True)
        ]
        return torch.cat([first, *reversed(later)])

    return compute


def usable_cores() -> int:
    """The cores that this process may run on, where the system tells (Linux), else all there are."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
