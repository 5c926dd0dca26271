"""Local hosts: worker processes of this machine, each with an event loop and an interpreter of its own."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from speakerlight.cluster.routing import HostAddress
from speakerlight.core.errors import InputError
from speakerlight.run_settings import RunSettings

logger = logging.getLogger(__name__)

START_SECONDS = 120.0
"""A host loads its models, which may have to be fetched first."""

END_SECONDS = 10.0
RESTART_SECONDS = 1.0
"""Before a host that died is started anew: one that dies at once must not keep the machine busy."""

READY, FAILED, NOTE = "ready", "failed", "note"


@dataclass(eq=False)
class _Worker:
    name: str
    process: BaseProcess
    pipe: Connection
    port: int | None = None


class LocalHosts:
    """Hosts from ``__enter__`` to ``__exit__``; one that dies is started anew, under another name.

    ``settings``: of each host, with the address and the secret by which the door reaches it.
    """

    def __init__(self, settings: RunSettings, count: int, notify: Callable[[str], None]) -> None:
        self._settings, self._count, self._notify = settings, count, notify
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._started = 0
        self._ended = threading.Event()
        self._first_ready = threading.Semaphore(0)
        self._failure: str | None = None
        self._thread = threading.Thread(target=self._supervise, name="hosts", daemon=True)

    def addresses(self) -> tuple[HostAddress, ...]:
        """The hosts that are ready. From any thread."""
        ready = [worker for worker in tuple(self._workers) if worker.port is not None]
        return tuple(HostAddress(each.name, f"http://127.0.0.1:{each.port}") for each in ready)

    def __enter__(self) -> LocalHosts:
        for _ in range(self._count):
            self._start()
        self._thread.start()
        for _ in range(self._count):
            if not self._first_ready.acquire(timeout=START_SECONDS) or self._failure is not None:
                self.__exit__()
                raise InputError(self._failure or "--cluster: a host does not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for worker in self._workers:
            worker.pipe.close()  # the host ends by itself
        self._thread.join()
        for worker in self._workers:
            worker.process.join(END_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()

    def _start(self) -> None:
        self._started += 1
        name = f"h{self._started}"
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=serve_as_host, args=(name, self._settings, theirs), name=f"host {name}", daemon=True
        )
        process.start()
        theirs.close()
        self._workers.append(_Worker(name, process, ours))

    def _supervise(self) -> None:
        while not self._ended.is_set():
            readable = wait([worker.pipe for worker in self._workers], timeout=0.2)
            for worker in [each for each in self._workers if each.pipe in readable]:
                try:
                    self._take(worker, *worker.pipe.recv())
                except (EOFError, OSError):
                    self._replace(worker)

    def _take(self, worker: _Worker, kind: str, value: str | int) -> None:
        if kind == READY:
            worker.port = int(value)
            self._first_ready.release()
        elif kind == FAILED:
            self._failure = str(value)
            self._first_ready.release()
        else:
            self._notify(f"host {worker.name}: {value}")

    def _replace(self, worker: _Worker) -> None:
        if self._ended.is_set():
            return
        self._workers = [each for each in self._workers if each is not worker]
        worker.pipe.close()
        if self._failure is not None:
            return
        self._notify(f"host {worker.name} died and is replaced; its pages connect to another")
        if not self._ended.wait(RESTART_SECONDS):
            self._start()


def serve_as_host(name: str, settings: RunSettings, pipe: Connection) -> None:
    """A host process: serves until the other end of ``pipe`` is closed, also by the end of its process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the door ends its hosts
    lock = threading.Lock()

    def tell(kind: str, value: str | int) -> None:
        with lock, suppress(OSError):
            pipe.send((kind, value))

    try:
        with running_host(name, settings, lambda line: tell(NOTE, line)) as port:
            tell(READY, port)
            with suppress(EOFError, OSError):
                pipe.recv()
    except InputError as error:
        tell(FAILED, str(error))
    os._exit(0)  # unloading the libraries takes up to a second


@contextmanager
def running_host(name: str, settings: RunSettings, notify: Callable[[str], None]) -> Iterator[int]:
    """A host in this process; its port."""
    from speakerlight.model_loading import load_models
    from speakerlight.server.listener import listening
    from speakerlight.session import open_server

    assert settings.serve is not None
    with listening(settings.serve) as address:
        models = load_models(settings)
        with open_server(settings, address, models, notify, host=name) as (server, _):
            yield server.port


def host_settings(settings: RunSettings, secret: str) -> RunSettings:
    """The settings of hosts behind a door of this machine, of which each knows only the ``secret``."""
    from speakerlight.server.client_address import parse_network
    from speakerlight.server.serve_settings import LOOPBACK, ServeSettings

    assert settings.serve is not None
    # Whoever knows the secret is a door, whose word about its clients counts.
    anywhere = (parse_network("0.0.0.0/0"), parse_network("::/0"))
    ice, rooms = settings.serve.ice, settings.serve.rooms
    serve = ServeSettings(LOOPBACK, 0, secret, trusted_proxies=anywhere, ice=ice, rooms=rooms)
    return replace(settings, serve=serve)
