"""All constants of scoring, lag and turns, with their units and where each came from.

"Measured" means: chosen on galleries and scenes of the development people, with gallery seeds that no test uses.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EvidenceSettings:
    """How a face's similarity to the sound and its movement become one probability.

    The weights are those of a logistic regression on the development galleries and the news scene, each weighed so that
    both "does this face speak" and "which of the faces speaks" come out right (measured).
    """

    fast_seconds: float = 0.2
    slow_seconds: float = 0.6
    """Time constants of the two exponential averages (measured: longer ones are steadier but name short turns late)."""
    trust_seconds: float = 0.5
    """How long a face must have been in view until its similarity counts in full."""
    lag_sharpness: float = 20.0
    """Per unit of cosine: how strongly the best believable lag counts while a lag is not known well."""
    bias: float = -5.1
    sync_fast: float = 7.1
    sync_slow: float = 16.2
    level: float = 7.3
    activity: float = 0.13
    still_below: float = -2.0
    stillness: float = 1.5
    """Log-odds of visual speech under which a mouth is still, and what each unit below takes away. Of talking mouths
    99 % lie above −0.2, of frozen faces 99 % below −3.3 (measured): whose mouth is still has somebody else's voice.
    """
    most_activity: float = 6.0
    """Log-odds of visual speech are cut at plus and minus this, so that sight alone never outweighs sync."""
    unknown_activity: float = 1.0
    """Stands for the log-odds of visual speech where the model does not tell: as of most speaking faces (measured)."""


@dataclass(frozen=True)
class LagSettings:
    """How the lag of the room and of each face is found."""

    min_speech: float = 0.5
    """Speech probability under which a tick says nothing about the lag."""
    room_seconds: float = 6.0
    """Time constant in seconds of speech: clocks drift by tens of milliseconds an hour."""
    room_sharpness: float = 20.0
    """Belief (natural log) per unit of cosine that a lag stands out by."""
    prior_ticks: float = 6.0
    """Deviation of the lag that is expected before anybody has spoken: most cameras are within 240 ms."""
    level_share: float = 0.3
    """Weight of a face's level beside its peak, when it is asked whose curve the lag is taken from."""
    face_seconds: float = 1.5
    face_sharpness: float = 40.0
    face_ticks: float = 3.0
    """How far a face's own lag may be from the room's: 120 ms of deviation. In 2 of 7 development scenes tiles differ
    by 80 to 240 ms; without a lag of their own the right person is marked in 4 % less of the time (measured)."""


@dataclass(frozen=True)
class TurnSettings:
    """When somebody's turn begins and ends. Thresholds are probabilities, times are seconds."""

    speech_on: float = 0.5
    speech_off: float = 0.35
    """silero-vad's own recommendation."""
    hold_seconds: float = 0.3
    """A pause this short inside speech is no silence."""
    on: float = 0.08
    off: float = 0.03
    """When there is speech it is most likely somebody's in view: little evidence names a face, none loses it."""
    also_on: float = 0.6
    also_off: float = 0.4
    """Beside the primary speaker only who is likely in earnest speaks as well."""
    challenger_odds: float = 4.0
    """A challenger's odds must be this many times the primary's …"""
    switch_seconds: float = 0.08
    """… for this long."""
    begin_seconds: float = 0.08
    first_belief: float = 0.5
    belief_seconds: float = 1.0
    offscreen_below: float = 0.2
    onscreen_from: float = 0.3
    """The likeliest face's probability is averaged over ``belief_seconds``, from ``first_belief`` where speech begins.
    Below ``offscreen_below`` the voice comes from out of view, until the average is ``onscreen_from`` again.
    """


@dataclass(frozen=True)
class Settings:
    """Everything that decides who is speaking."""

    evidence: EvidenceSettings = EvidenceSettings()
    lag: LagSettings = LagSettings()
    turns: TurnSettings = TurnSettings()
