"""Bursts of frames: packets with one and the same timestamp, spread over the time to the next one.

Recorders that stamp what they receive with its arrival write a second of video with one time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

SAME_SECONDS = 0.004
"""Packets nearer than this, and than a quarter of the usual distance, have one timestamp."""

LONGEST_SECONDS = 0.1
"""A burst lasts no longer, from its first packet to its last: more is a high frame rate."""

MOST_PACKETS = 1000
"""Packets held of a burst: half a minute of video. A longer one is spread in parts."""

USUAL_RATE = 25.0
"""Frames a second where the container's own rate is that of damaged timestamps."""

Item = TypeVar("Item")


def spread(packets: Iterable[tuple[float | None, Item]], rate: float) -> Iterator[tuple[float | None, Item]]:
    """``packets`` in their order, with their times in seconds; those of a burst apart by the distance of ``rate`` a
    second at most. A packet is given once the time of the next is known. None: it has no time, and gets none."""
    step = 1 / min(rate, USUAL_RATE)
    nearest = min(SAME_SECONDS, 0.25 / rate)
    burst: list[tuple[float, Item]] = []
    for time, item in packets:
        if burst and (
            time is None
            or abs(time - burst[-1][0]) > nearest
            or abs(time - burst[0][0]) > LONGEST_SECONDS
            or len(burst) == MOST_PACKETS
        ):
            yield from _placed(burst, time, step)
            burst = []
        if time is None:
            yield None, item
        else:
            burst.append((time, item))
    yield from _placed(burst, None, step)


def _placed(burst: list[tuple[float, Item]], after: float | None, step: float) -> Iterator[tuple[float, Item]]:
    """The packets of a burst, from its time to that of the packet ``after`` it."""
    if len(burst) < 2:
        yield from burst
        return
    first = burst[0][0]
    apart = min((after - first) / len(burst), step) if after is not None and after > first else step
    for number, (_, item) in enumerate(burst):
        yield first + number * apart, item
