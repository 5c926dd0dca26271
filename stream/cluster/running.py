"""Runs a cluster: the door (gateway) in this process, and its hosts."""

from __future__ import annotations

import threading
from collections.abc import Callable

from speakerlight.cluster.cluster_settings import LocalCluster
from speakerlight.cluster.door import Door
from speakerlight.cluster.host_process import host_settings
from speakerlight.cluster.local_hosts import LocalHosts
from speakerlight.cluster.routing import Hosts
from speakerlight.run_settings import RunSettings
from speakerlight.server.listening_socket import Listening
from speakerlight.server.server_factory import greeting
from speakerlight.server.tokens import new_token


def run_door(settings: RunSettings, address: Listening, stop: threading.Event, notify: Callable[[str], None]) -> None:
    """Serve through a door until ``stop`` or the end of the duration. Raises InputError when a host cannot start."""
    with _hosts(settings, notify) as hosts, Door(address, hosts.addresses, notify):
        for line in greeting(address):
            notify(line)
        notify(f"hosts: {', '.join(each.name for each in hosts.addresses())}")
        stop.wait(settings.duration_seconds)


def _hosts(settings: RunSettings, notify: Callable[[str], None]) -> Hosts:
    assert settings.serve is not None and settings.serve.cluster is not None
    cluster = settings.serve.cluster
    if isinstance(cluster, LocalCluster):
        return LocalHosts(host_settings(settings, new_token()), cluster.hosts, notify)
    from speakerlight.cluster.ray_hosts import RayHosts

    return RayHosts(settings, cluster, notify)
