"""Running a cluster: the door of this process, and its hosts."""

from __future__ import annotations

import threading
from collections.abc import Callable

from speakerlight.cluster.door import Door
from speakerlight.cluster.local_hosts import LocalHosts, host_settings
from speakerlight.run_settings import RunSettings
from speakerlight.server.listener import Listening
from speakerlight.server.serving import greeting
from speakerlight.server.tokens import new_token


def run_door(settings: RunSettings, address: Listening, stop: threading.Event, notify: Callable[[str], None]) -> None:
    """Serve through a door until ``stop`` or the end of the duration. Raises InputError when a host cannot start."""
    serve = address.settings
    assert serve.cluster is not None
    secret = new_token()
    with (
        LocalHosts(host_settings(settings, secret), serve.cluster.hosts, notify) as hosts,
        Door(address, hosts.addresses, secret, notify),
    ):
        for line in greeting(address):
            notify(line)
        notify(f"{serve.cluster.hosts} hosts of {serve.rooms} rooms each")
        stop.wait(settings.duration_seconds)
