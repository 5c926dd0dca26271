"""Identities as values: the person of each track, merged ids, names. ``core/people/recognition`` decides them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Merge:
    """Person ``id`` turned out to be person ``into``."""

    id: int
    into: int


@dataclass(frozen=True, eq=False)
class Identities:
    """What is known of the people in view at one tick.

    ``persons``: the person's id by track id; a track that is not in it is a person of its own, with its own id.
    ``merges``: those found at this tick. ``names``: of persons who have one, by id. ``resets``: how often everybody had
    been forgotten by this tick.
    """

    persons: Mapping[int, int] = field(default_factory=dict)
    merges: tuple[Merge, ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)
    resets: int = 0


NO_IDENTITIES = Identities()


def voice_label(voice: int) -> str:
    """What a voice without a person is called."""
    return f"voice {voice}"
