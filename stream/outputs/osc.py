"""OSC messages for mixers and lights: who speaks, and the director's shots, as UDP packets.

/speakerlight/speaker STATE ID NAME       on each change; ID 0 and NAME "" for nobody
/speakerlight/candidate KIND ID SECONDS   a cut is expected in SECONDS; KIND "none": it is withdrawn
/speakerlight/shot KIND ID NAME           the cut; KIND: person, wide or nobody
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from speakerlight.core.decision.director import PRESETS, Cut, Director, Preset
from speakerlight.core.errors import InputError
from speakerlight.core.events import Event, SpeakerEvent
from speakerlight.core.snapshot import Snapshot
from speakerlight.outputs.output import Output


class Osc(Output):
    """Sends OSC to ``address`` ("HOST:PORT"). UDP: a receiver that is not there loses packets and delays nothing.

    Raises InputError when the library is missing or the address cannot be used.
    """

    option = "--osc"

    def __init__(self, address: str, preset: Preset = Preset.NORMAL) -> None:
        try:
            from pythonosc.udp_client import SimpleUDPClient
        except ImportError:
            raise InputError("--osc needs python-osc: pip install '.[obs]' in the checkout") from None
        host, _, port = address.rpartition(":")
        try:
            self._client = SimpleUDPClient(host.strip("[]"), int(port))
        except (OSError, ValueError) as error:
            raise InputError(f"--osc {address}: write HOST:PORT ({error})") from None
        self._director = Director(PRESETS[preset])
        self._names: Mapping[int, str] = {}

    def event(self, event: Event) -> None:
        if isinstance(event, SpeakerEvent):
            self._send("speaker", event.state.value, event.id or 0, self._name(event.id))

    def snapshot(self, snapshot: Snapshot) -> None:
        self._names = snapshot.names
        for event in self._director.update(snapshot):
            if isinstance(event, Cut):
                self._send("shot", event.shot.kind.value, event.shot.person or 0, self._name(event.shot.person))
            elif event.shot is None:
                self._send("candidate", "none", 0, 0.0)
            else:
                self._send("candidate", event.shot.kind.value, event.shot.person or 0, event.cut_time - event.time)

    def _name(self, person: int | None) -> str:
        return "" if person is None else self._names.get(person, "")

    def _send(self, what: str, *values: Any) -> None:
        self._client.send_message(f"/speakerlight/{what}", list(values))
