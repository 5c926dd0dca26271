"""Routing: which host a request belongs to, and which one a new room goes to. By count, not by measured load."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol, Self

from speakerlight.server.rooms import HOST_END, HostStatus


@dataclass(frozen=True)
class HostAddress:
    """Where doors reach a host. ``url``: without a slash at its end. ``secret``: what it asks of doors."""

    name: str
    url: str
    secret: str = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """Of each request to it."""
        return {"Authorization": f"Bearer {self.secret}"}


class Hosts(Protocol):
    """The hosts of a door, from ``__enter__`` to ``__exit__``."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def addresses(self) -> tuple[HostAddress, ...]:
        """The hosts that are ready. From any thread; returns at once."""
        ...


@dataclass(eq=False)
class Host:
    """A host as the door last saw it. ``status`` None: it has not answered yet, or no more."""

    address: HostAddress
    status: HostStatus | None = None
    pending: int = 0
    """Offers on their way to it."""

    @property
    def free(self) -> int:
        """Rooms that it can still take."""
        if self.status is None or self.status.is_draining:
            return 0
        return max(self.status.capacity - self.status.rooms - self.pending, 0)


class HostTable:
    """The hosts of a door. Belongs to the door's loop."""

    def __init__(self) -> None:
        self._hosts: dict[str, Host] = {}

    def update(self, addresses: tuple[HostAddress, ...]) -> None:
        """The hosts that there are."""
        self._hosts = {
            each.name: host if (host := self._hosts.get(each.name)) and host.address == each else Host(each)
            for each in addresses
        }

    def all(self) -> list[Host]:
        """The hosts that there are, those that do not answer included."""
        return list(self._hosts.values())

    def answering(self) -> list[HostStatus]:
        """The status of each host that answers."""
        return [host.status for host in self._hosts.values() if host.status is not None]

    def named(self, name: str) -> Host | None:
        """A host by its name."""
        return self._hosts.get(name)

    def of(self, identifier: str | None) -> Host | None:
        """The host of a room or a session; of the only room there is for None."""
        if identifier is None:
            occupied = [host for host in self._hosts.values() if host.status is not None and host.status.rooms]
            return occupied[0] if len(occupied) == 1 else None
        host = self._hosts.get(identifier.partition(HOST_END)[0]) if HOST_END in identifier else None
        return host or next((each for each in self.all() if each.status and identifier in each.status.named), None)

    @contextmanager
    def emptiest(self, tried: set[str]) -> Iterator[Host | None]:
        """The host with most places left, one of which is kept meanwhile; None where all are full. Not those tried."""
        free = [host for name, host in self._hosts.items() if name not in tried and host.free]
        host = max(free, key=lambda each: each.free, default=None)
        if host is None:
            yield None
            return
        tried.add(host.address.name)
        host.pending += 1
        try:
            yield host
        finally:
            host.pending -= 1

    def opened(self, host: Host, name: str | None = None) -> None:
        """A room was opened, which the host's next status counts. ``name``: chosen by its sender."""
        if host.status is not None:
            named = host.status.named + (() if name is None else (name,))
            host.status = replace(host.status, rooms=host.status.rooms + 1, named=named)
