"""Prometheus metrics of a server, in a registry of its own."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

LATENCY_SECONDS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.6, 1.0, 2.0)


class Metrics:
    """Counters and gauges of the server; safe to use from any thread."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.rejected = Counter(
            "speakerlight_rejected_requests", "Requests answered with an error", ["status"], registry=registry
        )
        self.opened = Counter("speakerlight_opened_rooms", "Rooms since the server began", registry=registry)
        self.dropped = Counter(
            "speakerlight_dropped_frames", "Frames dropped because newer ones had arrived", registry=registry
        )
        self.latency = Histogram(
            "speakerlight_event_latency_seconds",
            "From capture to scores event",
            buckets=LATENCY_SECONDS,
            registry=registry,
        )
        ProcessCollector(registry=registry)

    def gauge(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Add a gauge whose value is computed on each scrape."""
        Gauge(f"speakerlight_{name}", what, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._registry)
