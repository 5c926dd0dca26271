"""Metrics: Prometheus' text, from a registry that is the server's own."""

from __future__ import annotations

from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from speakerlight.server.metrics import Metrics


def samples(metrics: Metrics) -> dict[str, float]:
    families = text_string_to_metric_families(metrics.text().decode())
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_what_is_counted_and_watched_is_reported() -> None:
    metrics = Metrics()
    rooms = [1, 2]
    metrics.gauge("rooms", "Open rooms", lambda: len(rooms))
    metrics.rejected.labels(401).inc()
    metrics.latency.observe(0.2)
    assert samples(metrics)["speakerlight_rooms"] == 2
    rooms.clear()
    lines = samples(metrics)
    assert lines["speakerlight_rooms"] == 0
    assert lines["speakerlight_rejected_requests_total"] == 1
    assert lines["speakerlight_event_latency_seconds_count"] == 1


def test_two_servers_share_nothing() -> None:
    one, two = Metrics(), Metrics()
    one.dropped.inc(5)
    assert samples(two)["speakerlight_dropped_frames_total"] == 0
    assert "speakerlight" not in str(list(REGISTRY.collect()))
