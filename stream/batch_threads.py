"""Batch parallelism: the rows of a batch split over the cores, in threads that synchronise once a batch.

PyTorch's own threads synchronise after every layer, so one that another stage keeps from its core stalls all others.
Here a part that no thread has started when the caller is done with its own is computed by the caller.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import torch

from speakerlight.core.models.cuda_graph import Function


def split_over_cores(function: Function) -> Function:
    """``function``, which must be thread-safe, with the rows of a batch split over the usable cores."""
    cores = usable_cores()
    if cores == 1:
        return function
    threads = ThreadPoolExecutor(cores - 1, thread_name_prefix="part")

    def compute(rows: torch.Tensor) -> torch.Tensor:
        own, *others = rows.chunk(cores)
        futures = [threads.submit(function, part) for part in others]
        first = function(own)
        # From the end, which threads start last. What can be cancelled was not started.
        rest = [
            function(part) if future.cancel() else future.result()
            for future, part in zip(reversed(futures), reversed(others), strict=True)
        ]
        return torch.cat([first, *reversed(rest)])

    return compute


def usable_cores() -> int:
    """Number of cores that this process may run on where the system reports it (Linux), else of all cores."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
