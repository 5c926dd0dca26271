"""Commands of a session: what a person or a program may command (pin, exclude, hold, name …), and what it changes.

One set of commands for every way in (keys, data channel, WebSocket, HTTP). A command is a JSON object; the state after
it is an immutable value; :class:`Steering` applies that state to each snapshot.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from speakerlight.core.errors import InputError
from speakerlight.core.framing import View
from speakerlight.core.geometry import Box
from speakerlight.core.identities import Merge
from speakerlight.core.snapshot import FaceScore, Snapshot, SpeakingState

HIGHEST_ID = 1_000_000
NAME_LETTERS = 40
MAX_NAMES = 200
MAX_REGIONS = 20
LONGEST_HOLD_SECONDS = 3600.0
LONGEST_LAG_MS = 3000.0

_ID = {"type": "integer", "minimum": 1, "maximum": HIGHEST_ID}
_ID_OR_NULL = {"anyOf": [_ID, {"type": "null"}]}


def _command(kind: str, description: str, **properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "description": description,
        "type": "object",
        "properties": {"type": {"const": kind}, **properties},
        "required": ["type", *properties],
        "additionalProperties": False,
    }


SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Speakerlight commands",
    "oneOf": [
        _command("name", "Name a person; an empty name takes it back.", id=_ID, name={"type": "string"}),
        _command("pin", "Show this person, no matter who speaks; null: follow the speaker again.", id=_ID_OR_NULL),
        _command("exclude", "Never make this person primary.", id=_ID, on={"type": "boolean"}),
        _command(
            "ignore",
            "Ignore faces whose centre lies in [x, y, width, height], in pixels of the source frame (a TV, a poster, a"
            " mirror); null: ignore no region any more.",
            region={
                "anyOf": [
                    {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4},
                    {"type": "null"},
                ]
            },
        ),
        _command(
            "hold",
            "Freeze the primary speaker for so many seconds; null: until it is released.",
            seconds={
                "anyOf": [
                    {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_HOLD_SECONDS},
                    {"type": "null"},
                ]
            },
        ),
        _command("release", "End a hold."),
        _command(
            "sensitivity",
            "Probability from which a face is marked; 0: as decided by the engine.",
            score={"type": "number", "minimum": 0, "maximum": 1},
        ),
        _command("view", "What window, recording and virtual camera show.", view={"enum": [v.value for v in View]}),
        _command(
            "lag",
            "Milliseconds by which the audio is late; null: estimated, beginning anew.",
            milliseconds={
                "anyOf": [
                    {"type": "number", "minimum": -LONGEST_LAG_MS, "maximum": LONGEST_LAG_MS},
                    {"type": "null"},
                ]
            },
        ),
        _command("reset", "Forget all people, names and voices included; the file of --people is not changed."),
        _command("record", "Start or stop the recording that --output asked for.", on={"type": "boolean"}),
    ],
}
"""JSON schema of the commands."""


@dataclass(frozen=True)
class ControlState:
    """What the commands have set.

    ``hold_until``: seconds of the session; infinity: until released; None: no hold. ``sensitivity`` in [0, 1].
    ``view`` and ``lag_ms`` None: as the run was started. ``lag_commands``: how often the lag was commanded; ``resets``:
    how often people were forgotten.
    """

    names: Mapping[int, str] = field(default_factory=dict)
    pinned: int | None = None
    excluded: frozenset[int] = frozenset()
    ignored_regions: tuple[Box, ...] = ()
    hold_until: float | None = None
    sensitivity: float = 0.0
    view: View | None = None
    lag_ms: float | None = None
    lag_commands: int = 0
    resets: int = 0
    is_recording: bool = True

    def is_held(self, time: float) -> bool:
        """Whether the primary speaker is frozen at ``time`` (seconds of the session)."""
        return self.hold_until is not None and time < self.hold_until

    def after(self, command: Mapping[str, object], time: float) -> ControlState:
        """The state after a command that is given at ``time`` (seconds of the session).

        Raises InputError with one line for what is no command of ``SCHEMA``; a flag is no number.
        """
        match dict(command):
            case {"type": "name", "id": person, "name": str(name), **rest} if not rest:
                return replace(self, names=self._named(_person(person), name))
            case {"type": "pin", "id": person, **rest} if not rest:
                return replace(self, pinned=None if person is None else _person(person))
            case {"type": "exclude", "id": person, "on": bool(on), **rest} if not rest:
                own = frozenset({_person(person)})
                if on and len(self.excluded) >= MAX_NAMES:
                    raise InputError(f"at most {MAX_NAMES} people can be excluded")
                return replace(self, excluded=self.excluded | own if on else self.excluded - own)
            case {"type": "ignore", "region": region, **rest} if not rest:
                return replace(self, ignored_regions=self._ignoring(region))
            case {"type": "hold", "seconds": seconds, **rest} if not rest:
                length = math.inf if seconds is None else _number("seconds", seconds, 1e-3, LONGEST_HOLD_SECONDS)
                return replace(self, hold_until=time + length)
            case {"type": "release", **rest} if not rest:
                return replace(self, hold_until=None)
            case {"type": "sensitivity", "score": score, **rest} if not rest:
                return replace(self, sensitivity=_number("score", score, 0.0, 1.0))
            case {"type": "view", "view": str(view), **rest} if not rest and view in list(View):
                return replace(self, view=View(view))
            case {"type": "lag", "milliseconds": ms, **rest} if not rest:
                lag_ms = None if ms is None else _number("milliseconds", ms, -LONGEST_LAG_MS, LONGEST_LAG_MS)
                return replace(self, lag_ms=lag_ms, lag_commands=self.lag_commands + 1)
            case {"type": "reset", **rest} if not rest:
                return replace(self, names={}, pinned=None, excluded=frozenset(), resets=self.resets + 1)
            case {"type": "record", "on": bool(on), **rest} if not rest:
                return replace(self, is_recording=on)
        raise InputError(_refusal(command))

    def following(self, merge: Merge) -> list[dict[str, object]]:
        """Commands that carry what was said of the person ``merge.id`` over to ``merge.into``, who has it already or
        gets it; a name that ``into`` has stays."""
        old, into = merge.id, merge.into
        made: list[dict[str, object]] = []
        if old in self.names:
            made.append({"type": "name", "id": old, "name": ""})
            if into not in self.names:
                made.append({"type": "name", "id": into, "name": self.names[old]})
        if old in self.excluded:
            made.append({"type": "exclude", "id": old, "on": False})
            made.append({"type": "exclude", "id": into, "on": True})
        if self.pinned == old:
            made.append({"type": "pin", "id": into})
        return made

    def commands(self, time: float) -> list[dict[str, object]]:
        """Commands that lead to this state in a session which begins at ``time`` (seconds) of this one."""
        made: list[dict[str, object]] = [{"type": "name", "id": i, "name": name} for i, name in self.names.items()]
        made += [{"type": "exclude", "id": person, "on": True} for person in sorted(self.excluded)]
        made += [{"type": "ignore", "region": [r.x, r.y, r.width, r.height]} for r in self.ignored_regions]
        if self.pinned is not None:
            made.append({"type": "pin", "id": self.pinned})
        if self.hold_until is not None and self.hold_until > time:
            left = self.hold_until - time
            made.append({"type": "hold", "seconds": None if math.isinf(left) else max(left, 1e-3)})
        if self.sensitivity:
            made.append({"type": "sensitivity", "score": self.sensitivity})
        if self.view is not None:
            made.append({"type": "view", "view": self.view.value})
        if self.lag_ms is not None:
            made.append({"type": "lag", "milliseconds": self.lag_ms})
        return made

    def _named(self, person: int, name: str) -> dict[int, str]:
        clean = " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())
        if len(clean) > NAME_LETTERS:
            raise InputError(f"a name has at most {NAME_LETTERS} letters")
        others = {each: other for each, other in self.names.items() if each != person}
        if clean and len(others) >= MAX_NAMES:
            raise InputError(f"at most {MAX_NAMES} people can be named")
        return others | {person: clean} if clean else others

    def _ignoring(self, region: object) -> tuple[Box, ...]:
        if region is None:
            return ()
        if not isinstance(region, list) or len(region) != 4:
            raise InputError("a region is [x, y, width, height] in pixels, or null")
        if len(self.ignored_regions) >= MAX_REGIONS:
            raise InputError(f"at most {MAX_REGIONS} regions can be ignored")
        x, y, width, height = (_number("region", value, -1e5, 1e5) for value in region)
        if width <= 0 or height <= 0:
            raise InputError("a region has a width and a height above 0")
        return (*self.ignored_regions, Box(x, y, width, height))


class Steering:
    """Applies the control state to snapshots, in order of time. Pure: the same input gives the same output."""

    def __init__(self) -> None:
        self._primary_before: int | None = None
        self._held: int | None = None
        self._is_held = False

    def steer(self, snapshot: Snapshot, control: ControlState) -> Snapshot:
        """The snapshot as the commands want it: without ignored faces, excluded people, and marks that are unsure.

        Names that were given by command reach every output this way.
        """
        for merge in snapshot.merges:
            self._primary_before = merge.into if self._primary_before == merge.id else self._primary_before
            self._held = merge.into if self._held == merge.id else self._held
        in_view = [face for face in snapshot.faces if not _is_ignored(face, control.ignored_regions)]
        shown_ids = {face.id for face in in_view if _may_be_shown(face, control)}
        faces = tuple(face if face.id in shown_ids else replace(face, speaking=False) for face in in_view)
        names = {**snapshot.names, **control.names} if control.names else snapshot.names
        primary = snapshot.primary if snapshot.primary in shown_ids else _most_probable_marked(faces)
        steered = _with_primary(replace(snapshot, faces=faces, names=names), primary)
        shown = self._hold(steered, control)
        self._primary_before = shown.primary
        return shown

    def _hold(self, snapshot: Snapshot, control: ControlState) -> Snapshot:
        is_held = control.is_held(snapshot.time)
        if is_held and not self._is_held:
            self._held = self._primary_before
        self._is_held = is_held
        if not is_held:
            return snapshot
        return _with_primary(snapshot, self._held if snapshot.is_in_view(self._held) else None)


def _with_primary(snapshot: Snapshot, primary: int | None) -> Snapshot:
    if primary == snapshot.primary:
        return snapshot
    if primary is not None:
        return replace(snapshot, primary=primary, state=SpeakingState.SPEAKING)
    # The speaker is a person whom the commands exclude.
    state = SpeakingState.UNDECIDED if snapshot.state is SpeakingState.SPEAKING else snapshot.state
    return replace(snapshot, primary=None, state=state)


def _is_ignored(face: FaceScore, regions: tuple[Box, ...]) -> bool:
    return any(region.contains(face.box.centre) for region in regions)


def _may_be_shown(face: FaceScore, control: ControlState) -> bool:
    return face.id not in control.excluded and face.score >= control.sensitivity


def _most_probable_marked(faces: Sequence[FaceScore]) -> int | None:
    marked = {face.id: face.score for face in faces if face.speaking}
    return max(marked, key=marked.__getitem__, default=None)


def _refusal(command: Mapping[str, object]) -> str:
    """Why a command is none of the schema: an unknown type, or fields that are not those of its type."""
    for each in SCHEMA["oneOf"]:
        kind, *fields = each["required"]
        if command.get(kind) == each["properties"][kind]["const"]:
            return f"{command[kind]} takes {' and '.join(fields) or 'no field'}: /schema.json describes it"
    return "unknown command: /schema.json lists them"


def _person(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= HIGHEST_ID:
        raise InputError(f"an id is a whole number from 1 to {HIGHEST_ID}")
    return value


def _number(name: str, value: object, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise InputError(f"{name}: a number from {least:g} to {most:g}")
    return float(value)
