"""Ray hosts (``--cluster auto`` or HOST:PORT): named detached actors, one for each node, or for each GPU of a node.

Ray starts, restarts and finds them. No media and no request passes through Ray: browsers reach a host over UDP, doors
over HTTP.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from speakerlight.cluster.cluster_settings import RayCluster
from speakerlight.cluster.host_process import DRAINED, FAILED, NOTE, READY, HostProcess, host_settings
from speakerlight.cluster.routing import HostAddress
from speakerlight.core.errors import InputError
from speakerlight.model_loading import COMPACT
from speakerlight.run_settings import RunSettings
from speakerlight.server.capacity import rooms_on, usable_cores
from speakerlight.server.client_address import in_url
from speakerlight.server.tokens import new_token

try:
    import ray
    from ray.util import get_node_ip_address, list_named_actors
    from ray.util.metrics import Gauge
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ModuleNotFoundError as error:
    raise InputError(
        f"--cluster: Ray is missing ({error.name}): pip install '.[cluster]' in the checkout; or write local:N"
    ) from None

logger = logging.getLogger(__name__)

NAMESPACE = "speakerlight"
ACTOR = "speakerlight host "
"""Prefix of an actor's name, before the host's."""

NAME_DIGITS = 6
"""Number of hexadecimal digits of the node's id in a host's name."""

START_SECONDS = 120.0
"""Time for a host to start: it loads its models, which may have to be fetched first."""

REACH_SECONDS = 3.0
"""Timeout of a connection to a cluster: Ray itself would keep trying for half a minute."""

POLL_SECONDS = 0.5
"""Interval of polls for nodes and hosts."""

ANSWER_SECONDS = 2.0
"""Timeout of an answer from actors and hosts."""

REPORT_SECONDS = 1.0
"""Interval of updates of a host's metrics."""

STORE_BYTES = 256 << 20
"""Size of Ray's object store, which only holds a scorer's batches."""


class HostActor:
    """Ray actor that runs a host process on its node. Its methods return at once."""

    def __init__(self, name: str, settings: RunSettings, cores: float | None) -> None:
        """``cores``: from which the number of rooms is derived; None: as in ``settings``. Raises InputError."""
        address, secret = get_node_ip_address(), new_token()
        made = host_settings(settings, secret, address)
        if cores is not None and made.serve is not None:
            made = replace(made, serve=replace(made.serve, rooms=rooms_on(cores)))
        self._own = ray.get_runtime_context().current_actor
        self._process = HostProcess(name, made)
        self._messages = self._process.messages()
        self._address = HostAddress(name, f"http://{in_url(address)}:{self._port()}", secret)
        for work in (self._watch, self._report):
            threading.Thread(target=work, daemon=True).start()

    def address(self) -> HostAddress:
        """The host's address for doors."""
        return self._address

    def _port(self) -> int:
        for kind, value in self._messages:
            if kind == READY:
                return int(value)
            if kind == FAILED:
                raise InputError(str(value))
        raise InputError("its process ended while it was starting")

    def _watch(self) -> None:
        """End the actor when the process ends: for good after draining; otherwise Ray restarts both."""
        for kind, value in self._messages:
            if kind == DRAINED:
                ray.kill(self._own, no_restart=True)
            elif kind == NOTE:
                logger.warning("host %s: %s", self._address.name, value)
        os._exit(1)

    def _report(self) -> None:
        """Publish the host's metrics."""
        gauges = {
            "rooms": Gauge("speakerlight_rooms", "Open rooms", ("host",)),
            "capacity": Gauge("speakerlight_capacity", "Maximum number of rooms", ("host",)),
            "latency_ms": Gauge(
                "speakerlight_latency_ms", "95th percentile from capture to event in the slowest room", ("host",)
            ),
        }
        request = urllib.request.Request(f"{self._address.url}/host", headers=self._address.headers)
        while True:
            time.sleep(REPORT_SECONDS)
            try:
                with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
                    status = json.load(answer)
            except OSError as failure:
                logger.warning("host %s gives no status: %s", self._address.name, failure)
                continue
            for field, gauge in gauges.items():
                gauge.set(status[field] or 0.0, {"host": self._address.name})


class RayHosts:
    """Hosts on every node that has a core for them. Ray restarts a process that dies, under its name, but not a drained
    host: a node is drained to be removed. In a cluster that was joined, the hosts outlive the door.

    ``settings``: of each host, except for its address and secret.
    """

    def __init__(self, settings: RunSettings, cluster: RayCluster, notify: Callable[[str], None]) -> None:
        self._settings, self._cluster, self._notify = settings, cluster, notify
        self._nodes: set[str] = set()
        self._scorer: str | None = None
        self._addresses: tuple[HostAddress, ...] = ()
        self._found: dict[str, HostAddress] = {}
        self._asked: dict[str, Any] = {}
        self._failed: dict[str, str] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="hosts", daemon=True)

    def addresses(self) -> tuple[HostAddress, ...]:
        """The hosts that are ready. From any thread."""
        return self._addresses

    def __enter__(self) -> Self:
        self._notify_of(_connected(self._cluster.address))
        try:
            self._scorer = self._started_scorer()
            self._wait_for_hosts()
        except BaseException:
            self.__exit__()
            raise
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()
        ray.shutdown()  # ends the cluster too where it was started here

    def _notify_of(self, dashboard: str | None) -> None:
        if dashboard:
            self._notify(f"Ray's dashboard: http://{dashboard}")

    def _started_scorer(self) -> str | None:
        """Start the scorer for nodes without a GPU and return its address; None where all nodes or none have GPUs, and
        for the compact model, which scores faster than its crops are sent."""
        gpus = [int(node["Resources"].get("GPU", 0)) for node in ray.nodes() if node["Alive"]]
        if self._settings.model == COMPACT or self._settings.device == "cpu" or not any(gpus) or all(gpus):
            return None
        from speakerlight.cluster.ray_scorer import expert_on_gpu, start_scorer

        return start_scorer(partial(expert_on_gpu, Path(self._settings.model)), sum(gpus))

    def _wait_for_hosts(self) -> None:
        started = self._start_missing()
        deadline = time.monotonic() + START_SECONDS
        while started - {each.name for each in self._addresses} - set(self._failed) and time.monotonic() < deadline:
            self._poll()
        for name, why in self._failed.items():
            self._notify(f"host {name} does not start: {why}")
        if not self._addresses:
            raise InputError("--cluster: no host starts on any node of the cluster")

    def _watch(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            try:
                self._start_missing()
                self._poll()
            except Exception as failure:  # the cluster fails, but hosts that answer the door still work
                logger.warning("the Ray cluster does not answer: %s", failure)

    def _start_missing(self) -> set[str]:
        """Start the hosts of new nodes and return their names."""
        names: set[str] = set()
        for node in ray.nodes():
            if node["Alive"] and node["NodeID"] not in self._nodes:
                self._nodes.add(node["NodeID"])
                names |= set(self._start_on(node["NodeID"], node["Resources"]))
        return names

    def _start_on(self, node: str, resources: dict[str, float]) -> Iterator[str]:
        if resources.get("CPU", 0) < 1:
            return  # a head node that only manages
        gpus = int(resources.get("GPU", 0))
        settings, gpu_share = self._settings, 1.0 if gpus else 0.0
        if self._scorer is not None:
            settings = settings if gpus else replace(settings, model=self._scorer)
            gpu_share /= 2  # the other half is the scorer's
        for index in range(max(gpus, 1)):
            name = f"r{node[:NAME_DIGITS]}" + (f"g{index}" if gpus > 1 else "")
            cores = usable_cores() / max(gpus, 1) if self._cluster.sizes_hosts else None
            ray.remote(HostActor).options(
                name=ACTOR + name,
                get_if_exists=True,
                lifetime="detached",
                max_restarts=-1,
                num_cpus=0,  # the host itself limits its rooms
                num_gpus=gpu_share,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
            ).remote(name, settings, cores)
            yield name

    def _poll(self) -> None:
        """Ask each host for its address. One request at a time: Ray queues those that an actor has not answered."""
        names = {each.removeprefix(ACTOR) for each in list_named_actors() if each.startswith(ACTOR)}
        for name in names - set(self._asked):
            with suppress(ValueError):  # it ended meanwhile
                self._asked[name] = ray.get_actor(ACTOR + name).address.remote()
        waiting = list(self._asked.values())
        answered = ray.wait(waiting, num_returns=len(waiting), timeout=ANSWER_SECONDS)[0] if waiting else []
        for name, reference in tuple(self._asked.items()):
            if reference not in answered:
                continue  # busy or starting
            del self._asked[name]
            try:
                self._found[name] = ray.get(reference)
            except ray.exceptions.RayError as failure:
                self._failed[name] = _reason(failure)
                self._found.pop(name, None)
                logger.debug("host %s does not answer: %s", name, failure)
        self._addresses = tuple(address for name, address in sorted(self._found.items()) if name in names)


def _reason(failure: Exception) -> str:
    """The last line of the message, which names the exception in the host's process."""
    return (str(failure).strip().splitlines() or [type(failure).__name__])[-1]


def _connected(address: str | None) -> str | None:
    """Start a cluster here (``address`` None) or join one; returns the address of its dashboard, if any. Raises
    InputError."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # a cluster that is started here runs in real time
    options = {"namespace": NAMESPACE, "logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address is None:
            context = ray.init(address="local", object_store_memory=STORE_BYTES, **options)
        else:
            parts = urlsplit(address if "//" in address else f"//{address}")
            socket.create_connection((parts.hostname or "", parts.port or 0), REACH_SECONDS).close()
            context = ray.init(address=address, **options)
    except Exception as failure:  # of any kind: Ray raises even a class when a node starts too slowly
        why = str(failure).partition("\n")[0]
        raise InputError(f"--cluster {address or 'auto'}: Ray cannot be used: {why}") from None
    return context.dashboard_url or None
