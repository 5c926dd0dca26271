"""Cluster settings: where hosts run, as ``--cluster`` is written."""

from __future__ import annotations

from dataclasses import dataclass

from speakerlight.core.errors import InputError
from speakerlight.server.capacity import processes_on, usable_cores

LOCAL = "local"


@dataclass(frozen=True)
class ClusterSettings:
    """Hosts as worker processes of this machine. ``hosts``: how many."""

    hosts: int


def parse_cluster(text: str) -> ClusterSettings:
    """``--cluster local[:N]``. Raises InputError."""
    kind, colon, count = text.partition(":")
    if kind != LOCAL or (colon and not (count.isdecimal() and int(count) >= 1)):
        raise InputError(f"--cluster {text}: write {LOCAL}, or {LOCAL}:N for N worker processes")
    return ClusterSettings(int(count) if colon else processes_on(usable_cores()))
