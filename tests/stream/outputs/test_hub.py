"""The hub: every output is fed alike, fails alone, and is closed."""

from __future__ import annotations

import pytest

from speakerlight.core.events import Event, Percentiles, SessionEvent, SummaryEvent
from speakerlight.core.media import AudioChunk, Frame, Image
from speakerlight.core.snapshot import Snapshot
from speakerlight.core.talk import Talk
from speakerlight.outputs.hub import OutputHub
from speakerlight.outputs.output import Output
from tests.stream.outputs.made import frame, silence, snapshot


class Notes(Output):
    option = "--notes"
    takes_frames = True

    def __init__(self) -> None:
        self.notes: list[str] = []

    def event(self, event: Event) -> None:
        self.notes.append(event.type)

    def snapshot(self, snapshot: Snapshot) -> None:
        self.notes.append(f"snapshot {snapshot.time}")

    def audio(self, audio: AudioChunk) -> None:
        self.notes.append(f"audio {audio.time}")

    def frame(self, frame: Frame, snapshot: Snapshot | None) -> None:
        self.notes.append(f"frame {frame.time} with {snapshot and snapshot.time}")

    def shown(self, image: Image) -> None:
        self.notes.append(f"shown {image[0, 0, 0]}")

    def close(self) -> None:
        self.notes.append("closed")


class Full(Output):
    option = "--full"

    def __init__(self) -> None:
        self.closed = 0

    def snapshot(self, snapshot: Snapshot) -> None:
        raise OSError("No space left on device")

    def close(self) -> None:
        self.closed += 1


def test_what_a_run_feeds_reaches_the_output_in_order() -> None:
    notes = Notes()
    hub = OutputHub([notes], pytest.fail)
    hub.event(SessionEvent("demo", None, "compact", "cpu"))
    hub.frame(frame(0.0))
    hub.audio(silence(0.0, 0.2))
    hub.snapshot(snapshot(0.0, [1]))
    hub.frame(frame(0.04))
    summary = hub.close(Percentiles())
    assert notes.notes == [
        "session",
        "audio 0.0",
        "snapshot 0.0",
        "scores",
        "person",
        "person",
        "speaker",
        "lag",
        "frame 0.0 with 0.0",
        "frame 0.04 with 0.0",
        "summary",
        "closed",
    ]
    assert summary == SummaryEvent(0.04, 2, 1, ((1, 0.04),), Percentiles(), talk={1: Talk(0.04, 1, 0.04)})


class Stuck(Output):
    option = "--stuck"

    def close(self) -> None:
        raise OSError("gone")


def test_what_is_on_show_goes_to_whom_it_is_for() -> None:
    class Screen(Notes):
        takes_shown = True

    notes, screen = Notes(), Screen()
    hub = OutputHub([notes, screen], pytest.fail)
    hub.shown(frame(0.0, grey=7).image)
    assert (notes.notes, screen.notes) == ([], ["shown 7"])


def test_every_output_is_closed_even_if_one_cannot_be() -> None:
    warnings: list[str] = []
    before, after = Notes(), Notes()
    hub = OutputHub([before, Stuck(), after], warnings.append)
    hub.close(Percentiles())
    assert warnings == ["--stuck could not be finished: gone"]
    assert hub.lost == ["--stuck"]
    assert before.notes[-1] == after.notes[-1] == "closed"
    hub.snapshot(snapshot(0.0))
    assert before.notes[-1] == "closed", "what comes later is ignored"


def test_an_output_that_fails_ends_alone_and_is_reported_once() -> None:
    warnings: list[str] = []
    full, notes = Full(), Notes()
    hub = OutputHub([full, notes], warnings.append)
    for k in range(3):
        hub.snapshot(snapshot(k / 25))
    hub.close(Percentiles())
    assert warnings == ["--full stopped: No space left on device"]
    assert hub.lost == ["--full"]
    assert full.closed == 1
    assert notes.notes[-1] == "closed"
    assert sum(note.startswith("snapshot") for note in notes.notes) == 3


def test_an_output_that_missed_events_is_incomplete() -> None:
    warnings: list[str] = []
    notes, missing = Notes(), Notes()
    missing.missed_events = 7
    hub = OutputHub([notes, missing], warnings.append)
    hub.close(Percentiles())
    assert warnings == ["--notes is incomplete: 7 events did not get through"]
    assert hub.lost == ["--notes"]
