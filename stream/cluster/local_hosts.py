"""Local hosts (``--cluster local:N``): starts N host processes on this machine and replaces those that die."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count as counted
from typing import Self

from speakerlight.cluster.host_process import DRAINED, FAILED, READY, HostProcess
from speakerlight.cluster.routing import HostAddress
from speakerlight.core.errors import InputError
from speakerlight.run_settings import RunSettings

START_SECONDS = 120.0
"""Time for a host to start: it loads its models, which may have to be fetched first."""

RESTART_SECONDS = 1.0
"""Pause before a dead host is replaced: one that dies at once must not keep the machine busy."""


class LocalHosts:
    """``count`` hosts. One that dies, or is drained and empty, is replaced by a new one under another name: on a single
    machine draining serves to restart a host, not to remove it.

    ``settings``: of each host, with the address and the secret by which the door reaches it.
    """

    def __init__(self, settings: RunSettings, count: int, notify: Callable[[str], None]) -> None:
        assert settings.serve is not None and settings.serve.token is not None
        self._settings, self._secret, self._notify = settings, settings.serve.token, notify
        self._numbers = counted(1)
        self._lock = threading.Lock()
        self._ready: dict[str, HostAddress] = {}
        self._processes: dict[str, HostProcess] = {}
        self._ended = threading.Event()
        self._first_ready = threading.Semaphore(0)
        self._failure: str | None = None
        self._places = [threading.Thread(target=self._keep, name="host", daemon=True) for _ in range(count)]

    def addresses(self) -> tuple[HostAddress, ...]:
        """The hosts that are ready. From any thread."""
        with self._lock:
            return tuple(self._ready.values())

    def __enter__(self) -> Self:
        for place in self._places:
            place.start()
        for _ in self._places:
            if not self._first_ready.acquire(timeout=START_SECONDS) or self._failure is not None:
                self.__exit__()
                raise InputError(self._failure or "--cluster: a host does not start")
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._ended.set()
            for process in self._processes.values():
                process.close()
        for place in self._places:
            place.join()

    def _keep(self) -> None:
        """Run one host after another, until the end or until one cannot start."""
        while (process := self._started()) is not None:
            why = self._watch(process)
            with self._lock:
                self._ready.pop(process.name, None)
                del self._processes[process.name]
            process.join()
            if self._failure is not None or self._ended.is_set():
                return
            self._notify(f"host {process.name} {why}")
            self._ended.wait(RESTART_SECONDS)

    def _started(self) -> HostProcess | None:
        with self._lock:
            if self._ended.is_set():
                return None
            process = HostProcess(f"h{next(self._numbers)}", self._settings)
            self._processes[process.name] = process
            return process

    def _watch(self, process: HostProcess) -> str:
        """Process a host's messages until it ends; returns how it ended, as text for people."""
        why = "died and is replaced; its pages connect to another"
        for kind, value in process.messages():
            if kind == READY:
                address = HostAddress(process.name, f"http://127.0.0.1:{value}", self._secret)
                with self._lock:
                    self._ready[process.name] = address
                self._first_ready.release()
            elif kind == FAILED:
                self._failure = str(value)
                self._first_ready.release()
            elif kind == DRAINED:
                why = "is drained and is replaced"
            else:
                self._notify(f"host {process.name}: {value}")
        return why
