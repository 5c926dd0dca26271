"""OSC messages for mixers and lights: who speaks, and the director's shots, as UDP packets.

/speakerlight/speaker STATE ID NAME       on each change; ID 0 and NAME "" without an active speaker
/speakerlight/candidate KIND ID SECONDS   a cut is expected in SECONDS; KIND "none": it is withdrawn
/speakerlight/shot KIND ID NAME           the cut; KIND: person, wide or nobody
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from speakerlight.core.errors import InputError
from speakerlight.core.events import Event, SpeakerEvent
from speakerlight.core.shot import Direction
from speakerlight.core.snapshot import Snapshot
from speakerlight.outputs.output import Output

HIGHEST_PORT = 65_535
"""Higher ones are not refused by the system, but wrapped."""


class Osc(Output):
    """Sends OSC to ``address`` ("HOST:PORT"). UDP: a receiver that is not there loses packets and delays nothing.

    Raises InputError when the library is missing or the address cannot be used.
    """

    option = "--osc"

    def __init__(self, address: str) -> None:
        try:
            from pythonosc.udp_client import SimpleUDPClient
        except ImportError:
            raise InputError("--osc needs python-osc: pip install '.[obs]' in the checkout") from None
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) <= HIGHEST_PORT:
            raise InputError(f"--osc {address}: write HOST:PORT")
        try:
            self._client = SimpleUDPClient(host.strip("[]"), int(port))
        except OSError as error:
            raise InputError(f"--osc {address}: {error.strerror}") from None
        self._direction = Direction()
        self._names: Mapping[int, str] = {}

    def event(self, event: Event) -> None:
        if isinstance(event, SpeakerEvent):
            self._send("speaker", event.state.value, event.id or 0, self._name(event.id))

    def snapshot(self, snapshot: Snapshot) -> None:
        self._names = snapshot.names
        before, self._direction = self._direction, snapshot.direction
        shot, candidate = snapshot.direction.shot, snapshot.direction.candidate
        if shot != before.shot:
            self._send("shot", shot.kind.value, shot.person or 0, self._name(shot.person))
        elif candidate is not None and candidate != before.candidate:
            seconds = candidate.cut_time - candidate.time
            self._send("candidate", candidate.shot.kind.value, candidate.shot.person or 0, seconds)
        elif candidate is None and before.candidate is not None:
            self._send("candidate", "none", 0, 0.0)

    def _name(self, person: int | None) -> str:
        return "" if person is None else self._names.get(person, "")

    def _send(self, what: str, *values: Any) -> None:
        self._client.send_message(f"/speakerlight/{what}", list(values))
