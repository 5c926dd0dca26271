"""Capacity: how many rooms a server process admits on the cores it may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

ROOMS_A_CORE = 4
"""Rooms of two people that one core can serve."""

ROOMS_A_PROCESS = 8
"""Maximum number of rooms of one process: its threads share one interpreter lock, so more cores need more processes."""

CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""``QUOTA PERIOD`` in microseconds, or ``max PERIOD``: the limit of a container."""


def usable_cores() -> float:
    """Cores that this process may use: those of its affinity, or fewer where a container limits their time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = CGROUP_QUOTA.read_text().split()
        return min(cores, int(quota) / int(period))
    except (OSError, ValueError):
        return cores


def rooms_on(cores: float) -> int:
    """Number of rooms that one process admits on ``cores`` cores."""
    return min(max(math.floor(ROOMS_A_CORE * cores), 1), ROOMS_A_PROCESS)


def processes_on(cores: float) -> int:
    """Number of processes that ``cores`` cores keep busy."""
    return max(math.floor(ROOMS_A_CORE * cores / ROOMS_A_PROCESS), 1)
