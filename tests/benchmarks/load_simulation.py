"""Simulation of many rooms with measured service times: queues of ticks on one host, then fleets of hosts.

A host is simulated tick by tick: every room brings work each 40 ms at a phase of its own, first to the interpreter lock
(one server a process), then to the cores. Fleets are sized by Erlang's loss formula. ``ASSUMPTIONS`` lists what is
assumed and was not measured.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np

from speakerlight.core.timebase import TICK_RATE

LOCK_SHARE = 0.5
"""Share of a room's processor time that holds the interpreter lock: decoding and scoring release it. Sampling a host
with three rooms gave 0.45."""

SPREAD = 0.5
"""Standard deviation of service times, relative to their mean."""

SESSION_SECONDS = 1800.0
REFUSED_SHARE = 0.001
OFFER_SECONDS = 0.0035
"""Processor time of the door for an offer, its room's end and the polls meanwhile (``B load --only door``)."""

ROOM_BITS = 1.6e6
NIC_BITS = 10e9
SIMULATED_SECONDS = 60
SEED = 0

ASSUMPTIONS = (
    f"{LOCK_SHARE:g} of a room's processor time holds Python's interpreter lock",
    f"service times are log-normal with a deviation of {SPREAD:g} of their mean; no load is shed",
    f"rooms arrive at random and last {SESSION_SECONDS / 60:g} minutes in the mean; {REFUSED_SHARE:.1%} may be refused",
    f"an offer takes {1000 * OFFER_SECONDS:g} ms of the door's processor (measured)",
    f"a room sends {ROOM_BITS / 1e6:g} Mbit/s over links of {NIC_BITS / 1e9:g} Gbit/s",
    "a card scores 2,000 faces of the expert at 25 a second, the bar of the GPU row, which no card has shown yet",
    "a host is one process on two cores; prices are those of Costs",
)


@dataclass(frozen=True)
class Measured:
    """``room_cores``: processor seconds a second of one room. ``fixed_cores``: of the server without rooms.
    ``delay_seconds``: median event delay of an idle server: look-ahead and network."""

    room_cores: float
    fixed_cores: float
    delay_seconds: float

    def __str__(self) -> str:
        return f"{self.room_cores:.3f} cores a room + {self.fixed_cores:.3f}, median delay {self.delay_seconds:.3f} s"


@dataclass(frozen=True)
class Costs:
    """Prices in dollars an hour, and capacities of a host and a GPU."""

    core: float = 0.04
    card: float = 3.0
    host_cores: int = 2
    faces_a_card: int = 2_000
    faces_a_room: int = 2


def predicted_p95(times: Measured, rooms: int, cores: int, seconds: int = SIMULATED_SECONDS) -> float:
    """95th percentile of the event delay in seconds of ``rooms`` on a host of one process and ``cores``."""
    rng = np.random.default_rng(SEED)
    ticks = TICK_RATE * seconds
    arrivals = (rng.uniform(0, 1, (rooms, 1)) + np.arange(ticks)) / TICK_RATE
    sigma = math.sqrt(math.log(1 + SPREAD**2))
    work = times.room_cores / TICK_RATE * rng.lognormal(-(sigma**2) / 2, sigma, arrivals.shape)
    work /= max(1 - times.fixed_cores / cores, 0.1)
    order = np.argsort(arrivals, axis=None)
    lock_free, free, delays = 0.0, [0.0] * cores, []
    for arrival, service in zip(arrivals.ravel()[order].tolist(), work.ravel()[order].tolist(), strict=True):
        core = heapq.heappop(free)
        begin = max(arrival, core, lock_free)
        lock_free = begin + LOCK_SHARE * service
        heapq.heappush(free, begin + service)
        delays.append(begin + service - arrival)
    alone = times.room_cores / TICK_RATE
    return times.delay_seconds + float(np.quantile(delays, 0.95)) - alone


def rooms_a_host(times: Measured, cores: int, bar_seconds: float = 0.3) -> int:
    """Maximum number of rooms whose predicted 95th percentile stays within the bar."""
    rooms = 0
    while predicted_p95(times, rooms + 1, cores, 10) <= bar_seconds:
        rooms += 1
    return rooms


def refused(offered: float, places: int) -> float:
    """Erlang's loss formula: share of rooms refused with ``offered`` rooms in the mean and ``places`` places."""
    share = 1.0
    for place in range(1, places + 1):
        share = offered * share / (place + offered * share)
    return share


def places_for(rooms: float) -> int:
    """Minimum number of places that refuse at most ``REFUSED_SHARE``."""
    share, place = 1.0, 0
    while share > REFUSED_SHARE:
        place += 1
        share = rooms * share / (place + rooms * share)
    return place


def fleet(times: Measured, rooms: int, costs: Costs) -> str:
    """One line about ``rooms`` in the mean: hosts, GPUs, cost, and the resource nearest to its limit."""
    each = max(rooms_a_host(times, costs.host_cores), 1)
    places = places_for(rooms)
    hosts = math.ceil(places / each)
    cards = math.ceil(places * costs.faces_a_room / costs.faces_a_card)
    door = rooms / SESSION_SECONDS * OFFER_SECONDS
    uses = {
        "interpreter lock of a host": LOCK_SHARE * each * times.room_cores + times.fixed_cores,
        "cores of a host": (each * times.room_cores + times.fixed_cores) / costs.host_cores,
        "network of a host": each * ROOM_BITS / NIC_BITS,
        "one door": door,
        "cards for expert": places * costs.faces_a_room / (cards * costs.faces_a_card),
    }
    first = max(uses, key=lambda name: uses[name])
    dollars = hosts * costs.host_cores * costs.core
    shares = ", ".join(f"{name} {share:.3g}" for name, share in uses.items())
    return (
        f"{rooms} rooms: {places} places, {hosts} hosts of {each}, ${dollars:.2f} an hour; with expert {cards} cards, "
        f"${dollars + cards * costs.card:.2f}; nearest to its limit: {first} ({shares})"
    )
