"""Routing: finds the host of a room by the room's id, and chooses the host with the most free places for a new room."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol, Self

from speakerlight.server.rooms import HOST_END, HostStatus


@dataclass(frozen=True)
class HostAddress:
    """Address of a host for doors. ``url``: without a trailing slash. ``secret``: the token that doors need."""

    name: str
    url: str
    secret: str = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """Headers of each request to it."""
        return {"Authorization": f"Bearer {self.secret}"}


class Hosts(Protocol):
    """Starts or finds the hosts of a door; they are available from ``__enter__`` to ``__exit__``."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def addresses(self) -> tuple[HostAddress, ...]:
        """The hosts that are ready. From any thread; returns at once."""
        ...


@dataclass(eq=False)
class Host:
    """A host and its status at the last poll. ``status`` None: it has not answered yet, or no longer does."""

    address: HostAddress
    status: HostStatus | None = None
    pending: int = 0
    """Offers forwarded to it and not yet answered."""

    @property
    def free(self) -> int:
        """Number of rooms that it can still open. Admission is by count, not by measured load."""
        if self.status is None or self.status.is_draining:
            return 0
        return max(self.status.capacity - self.status.rooms - self.pending, 0)


class HostTable:
    """The hosts of a door, by name. Belongs to the door's loop."""

    def __init__(self) -> None:
        self._hosts: dict[str, Host] = {}

    def update(self, addresses: tuple[HostAddress, ...]) -> None:
        """Replace the set of hosts; known ones keep their status."""
        self._hosts = {
            each.name: host if (host := self._hosts.get(each.name)) and host.address == each else Host(each)
            for each in addresses
        }

    def all(self) -> list[Host]:
        """All hosts, those that do not answer included."""
        return list(self._hosts.values())

    def answering(self) -> list[HostStatus]:
        """The status of each host that answers."""
        return [host.status for host in self._hosts.values() if host.status is not None]

    def named(self, name: str) -> Host | None:
        """A host by its name."""
        return self._hosts.get(name)

    def of(self, identifier: str | None) -> Host | None:
        """The host of a room or WHIP session, by its id. Without an id: the one host that has rooms, if it is one."""
        if identifier is None:
            occupied = [host for host in self._hosts.values() if host.status is not None and host.status.rooms]
            return occupied[0] if len(occupied) == 1 else None
        host = self._hosts.get(identifier.partition(HOST_END)[0]) if HOST_END in identifier else None
        return host or next((each for each in self.all() if each.status and identifier in each.status.named), None)

    @contextmanager
    def emptiest(self, tried: set[str]) -> Iterator[Host | None]:
        """The host with the most free places, without those ``tried``; one place is reserved meanwhile. None: full."""
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
        """Count a room that was opened, until the host's next status does. ``name``: where its sender chose one."""
        if host.status is not None:
            named = host.status.named + (() if name is None else (name,))
            host.status = replace(host.status, rooms=host.status.rooms + 1, named=named)
