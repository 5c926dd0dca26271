"""Room status for the metrics: people in view and load level, also of this machine's own run."""

from __future__ import annotations

from speakerlight.core.events import Event, LoadEvent, ScoresEvent
from speakerlight.outputs.output import Output


class RoomStatus(Output):
    """``faces``: people in view. ``load_level``: load-shedding level, 0 to 4. Any thread may read."""

    option = "--serve"

    def __init__(self) -> None:
        self.faces = 0
        self.load_level = 0

    def event(self, event: Event) -> None:
        if isinstance(event, LoadEvent):
            self.load_level = event.level
        elif isinstance(event, ScoresEvent):
            self.faces = len(event.faces)
