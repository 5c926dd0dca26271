"""Packets on the repaired timeline: from FFmpeg's packets to timestamp repair, and back."""

from __future__ import annotations

from typing import Any

from av.packet import Packet

from speakerlight.sources.timestamps import Repaired, Stamped


def stamped(packet: Packet[Any]) -> Stamped[Packet[Any]]:
    """``packet`` as timestamp repair sees it."""
    base = packet.time_base
    start = packet.dts if packet.pts is None else packet.pts
    stamp = start if packet.dts is None else packet.dts
    if start is None or stamp is None:
        return Stamped(packet.stream_index, None, 0.0, 0.0, packet)
    seconds = float(start * base)
    return Stamped(
        packet.stream_index, float(stamp * base), seconds, seconds + float((packet.duration or 0) * base), packet
    )


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
