"""Packets on the repaired timeline: from FFmpeg's packets to timestamp repair, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from speakerlight.sources.bursts import spread
from speakerlight.sources.timestamps import Repaired, Stamped


def demuxed(container: InputContainer, streams: Iterable[Stream]) -> Iterator[Packet[Any]]:
    """The packets of ``streams``, then one for each that flushes its decoder. Raises FFmpeg's errors, ValueError."""
    wanted = list(streams)
    try:
        yield from container.demux(*wanted)
    except IndexError:  # PyAV's at the end of a file in which more streams have appeared than it began with
        yield from map(flushing, wanted)


def flushing(stream: Stream) -> Packet[Any]:
    """The packet that flushes the decoder of ``stream``."""
    packet: Packet[Any] = Packet()
    packet.stream = stream
    return packet


def stamped(packet: Packet[Any], stream: int | None = None) -> Stamped[Packet[Any]]:
    """``packet`` as timestamp repair sees it. ``stream``: its stream's number, where the container's is not meant."""
    number = packet.stream_index if stream is None else stream
    base = packet.time_base
    start = packet.dts if packet.pts is None else packet.pts
    stamp = start if packet.dts is None else packet.dts
    if start is None or stamp is None or packet.is_discard:  # decoded only for what follows it, before an edit's start
        return Stamped(number, None, 0.0, 0.0, packet)
    seconds = float(start * base)
    return Stamped(number, float(stamp * base), seconds, seconds + float((packet.duration or 0) * base), packet)


def shifted(repaired: Repaired[Packet[Any]]) -> Packet[Any]:
    """The packet with its timestamps on the repaired timeline, or without any where they are damaged."""
    packet, offset = repaired.item, repaired.offset
    if offset is None:
        packet.pts = packet.dts = None
    elif offset:
        ticks = round(offset / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts + ticks
        packet.dts = None if packet.dts is None else packet.dts + ticks
    return packet


def without_bursts(packets: Iterable[Packet[Any]], rate: float) -> Iterator[Packet[Any]]:
    """The packets of one video stream; those with one and the same timestamp are spread to ``rate`` a second."""
    timed = ((None if packet.pts is None else float(packet.pts * packet.time_base), packet) for packet in packets)
    for time, packet in spread(timed, rate):
        if time is not None:
            stamp = round(time / packet.time_base)
            if stamp != packet.pts:
                packet.pts = packet.dts = stamp
        yield packet
