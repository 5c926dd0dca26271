"""Load shedding: levels 0 to 4 of work that is dropped, in a fixed order, when the machine is too slow."""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import dataclass, replace

from speakerlight.core.faces.selection import FaceSelection
from speakerlight.core.faces.vision import FrameTracks


@dataclass(frozen=True)
class LoadPlan:
    """The work done at a load level. Every ``score_stride``-th tick is scored, faces are detected ``vision_stride``
    times less often, and at most ``most_faces`` are scored (None: all)."""

    level: int
    score_stride: int
    vision_stride: int
    most_faces: int | None


PLANS = (
    LoadPlan(0, 1, 1, None),
    LoadPlan(1, 2, 1, None),
    LoadPlan(2, 4, 1, None),
    LoadPlan(3, 4, 2, None),
    LoadPlan(4, 4, 2, 6),
)
"""Levels in order: scores are shed first, because turns last longer than a tick; faces last."""


@dataclass(frozen=True)
class GovernorSettings:
    """When the level changes. Lateness is in seconds, smoothed over ``smoothing_seconds``."""

    first_level: int = 0
    """Initial level: that of the other rooms on the machine, so that a new room does not overload them."""
    smoothing_seconds: float = 0.3
    """Time constant of the smoothing: a delay of a few ticks is caught up with, not shed."""
    longest_step_seconds: float = 0.08
    """Longest time that one measurement stands for: it does not describe the whole of a stall before it."""
    dropped_seconds: float = 0.05
    """Lateness that dropped frames add to a measurement: a camera's ring is too short to show how late the vision
    thread is. Three such measurements within the smoothing time raise the level, one does not."""
    late_seconds: float = 0.16
    """Lateness that raises the level: four ticks, more than a busy machine's jitter and not yet visible. Half of it
    right after the level fell: that step was then too much."""
    easy_seconds: float = 0.05
    """Lateness that counts as keeping up: about one tick."""
    settle_seconds: float = 0.5
    """Time that a new level gets to take effect."""
    patience_seconds: float = 6.0
    """Time of keeping up after which the level falls …"""
    longest_patience_seconds: float = 64.0
    """… doubled, up to this, each time that the fall turned out to be too much."""


class LoadGovernor:
    """Chooses the level from measured lateness. Pure: time comes in with each measurement and never goes back."""

    def __init__(self, settings: GovernorSettings | None = None) -> None:
        self._settings = settings or GovernorSettings()
        self._level = self._settings.first_level
        self._smooth = 0.0
        self._last: float | None = None
        self._changed = -math.inf
        self._easy_since: float | None = None
        self._patience = self._settings.patience_seconds
        self._eased = -math.inf

    @property
    def plan(self) -> LoadPlan:
        return PLANS[self._level]

    def update(self, lateness_seconds: float, now: float, *, has_dropped: bool = False) -> int:
        """Return the level after a measurement: how far the scores are behind the newest frame at ``now`` (seconds),
        and whether frames were dropped since the last measurement."""
        s = self._settings
        elapsed = 0.0 if self._last is None else min(now - self._last, s.longest_step_seconds)
        self._last = now
        self._smooth += (lateness_seconds - self._smooth) * -math.expm1(-elapsed / s.smoothing_seconds)
        self._smooth += s.dropped_seconds * has_dropped
        if self._smooth > s.easy_seconds:
            self._easy_since = None
        elif self._easy_since is None:
            self._easy_since = now
        if now - self._changed < s.settle_seconds:
            return self._level
        is_trial = now - self._eased < s.patience_seconds
        if self._smooth > s.late_seconds / (1 + is_trial) and self._level < len(PLANS) - 1:
            self._rise(now)
        elif self._level and self._easy_since is not None and now - self._easy_since >= self._patience:
            self._ease(now)
        return self._level

    def _rise(self, now: float) -> None:
        s = self._settings
        if now - self._eased < self._patience:
            self._patience = min(2 * self._patience, s.longest_patience_seconds)
        self._level, self._changed = self._level + 1, now

    def _ease(self, now: float) -> None:
        if now - self._eased > 2 * self._patience:
            self._patience = self._settings.patience_seconds
        self._level, self._changed, self._eased = self._level - 1, now, now
        self._easy_since = now


class ScoredFaces:
    """Selects the faces that are scored when a plan allows fewer than there are, with hysteresis."""

    def __init__(self) -> None:
        self._selection = FaceSelection()

    def select(self, tracks: FrameTracks, most: int | None, speakers: Container[int]) -> FrameTracks:
        """``tracks`` with at most ``most`` faces: those of ``speakers`` (ids of persons) first, then the largest."""
        if most is None or len(tracks.faces) <= most:
            return tracks
        preferred = {face.id for face in tracks.faces if tracks.person(face.id) in speakers}
        kept = {face.id for face in self._selection.select(tracks.faces, most, preferred)}
        pairs = [(face, crop) for face, crop in zip(tracks.faces, tracks.crops, strict=True) if face.id in kept]
        return replace(tracks, faces=tuple(face for face, _ in pairs), crops=tuple(crop for _, crop in pairs))
