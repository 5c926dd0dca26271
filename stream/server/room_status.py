"""How a run stands: what the server tells of each of its rooms, this machine's own run among them."""

from __future__ import annotations

from speakerlight.core.events import Event, LoadEvent, ScoresEvent
from speakerlight.outputs.output import Output


class RoomStatus(Output):
    """``faces``: how many are in view; ``load_level``: how much work is shed. May be read from any thread."""

    option = "--serve"

    def __init__(self) -> None:
        self.faces = 0
        self.load_level = 0

    def event(self, event: Event) -> None:
        if isinstance(event, LoadEvent):
            self.load_level = event.level
        elif isinstance(event, ScoresEvent):
            self.faces = len(event.faces)
