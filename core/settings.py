"""All constants of scoring, lag and turns, with their units and where each came from.

"Measured" means: chosen on galleries and scenes of the development people, with gallery seeds that no test uses.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EvidenceSettings:
    """How a face's similarity to the sound and its movement become one probability."""

    fast_seconds: float = 0.3
    slow_seconds: float = 0.8
    """Time constants of the two exponential averages."""
    lag_sharpness: float = 20.0
    """Per unit of cosine: how strongly the best believable lag counts while the room lag is not known well."""
    bias: float = -4.0
    sync_fast: float = 5.0
    sync_slow: float = 5.0
    activity_fast: float = 2.0
    activity_slow: float = 1.0


@dataclass(frozen=True)
class LagSettings:
    """How the room lag is found."""

    min_speech: float = 0.5
    """Speech probability under which a tick says nothing about the lag."""
    memory_seconds: float = 6.0
    """Time constant in seconds of speech: clocks drift by tens of milliseconds an hour, people switch in seconds."""
    prior_ticks: float = 6.0
    """Standard deviation of the lag that is expected before anybody has spoken, in ticks:
    most cameras are within 240 ms."""
    sharpness: float = 60.0
    """Belief (natural log) per unit of cosine that a lag stands out by."""


@dataclass(frozen=True)
class TurnSettings:
    """When somebody's turn begins and ends. Thresholds are probabilities, times are seconds."""

    speech_on: float = 0.5
    speech_off: float = 0.35
    """silero-vad's own recommendation."""
    hold_seconds: float = 0.3
    """A pause this short inside speech is no silence."""
    on: float = 0.5
    off: float = 0.3
    challenger_odds: float = 1.5
    """A challenger's odds must be this many times the primary's …"""
    switch_seconds: float = 0.2
    """… for this long."""
    begin_seconds: float = 0.08
    offscreen_seconds: float = 0.8
    """Speech that nobody in view is found for, for this long, comes from out of view."""


@dataclass(frozen=True)
class Settings:
    """Everything that decides who is speaking."""

    evidence: EvidenceSettings = EvidenceSettings()
    lag: LagSettings = LagSettings()
    turns: TurnSettings = TurnSettings()
