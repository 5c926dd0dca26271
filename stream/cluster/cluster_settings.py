"""Cluster settings: parses ``--cluster``, where hosts run."""

from __future__ import annotations

import re
from dataclasses import dataclass

from speakerlight.core.errors import InputError
from speakerlight.server.capacity import processes_on, usable_cores

LOCAL, AUTO = "local", "auto"
ADDRESS = re.compile(r"(ray://)?(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):\d{1,5}")


@dataclass(frozen=True)
class LocalCluster:
    """Hosts are worker processes of this machine. ``hosts``: their number."""

    hosts: int


@dataclass(frozen=True)
class RayCluster:
    """Hosts are actors of a Ray cluster. ``address`` None: the cluster is started here. ``sizes_hosts``: without
    ``--rooms``, each host derives its number of rooms from its node's cores."""

    address: str | None
    sizes_hosts: bool = True


ClusterSettings = LocalCluster | RayCluster


def parse_cluster(text: str) -> ClusterSettings:
    """``--cluster local[:N]``, ``auto`` or the address of a Ray cluster. Raises InputError."""
    if text == AUTO:
        return RayCluster(None)
    kind, colon, count = text.partition(":")
    if kind == LOCAL and (not colon or (count.isdecimal() and int(count) >= 1)):
        return LocalCluster(int(count) if colon else processes_on(usable_cores()))
    if kind in (LOCAL, AUTO) or not ADDRESS.fullmatch(text):
        raise InputError(
            f"--cluster {text}: write {LOCAL}:N for N worker processes of this machine, {AUTO} to start Ray here, or "
            "the address of a Ray cluster, HOST:PORT or ray://HOST:PORT"
        )
    return RayCluster(text)
