"""All constants of scoring, lag and turns, with their units and where each came from.

"Measured" means: chosen on galleries and scenes of the development people, with gallery seeds that no test uses.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EvidenceSettings:
    """How a face's similarity to the sound and its movement become log-odds a second that it is heard.

    Chosen together with those of BeliefSettings, on the development galleries (everybody in view, and with each person
    in turn taken out of view), the news scene, and single faces with their own voice, with a stranger's, and frozen.
    """

    fast_seconds: float = 0.07
    """Time constant of the average that sync and movement are taken from: two ticks. Belief adds up by itself, and what
    is averaged for longer still speaks for whoever spoke before (measured)."""
    slow_seconds: float = 0.6
    """Time constant of the average that the lag and the level are taken from."""
    trust_seconds: float = 0.5
    """How long a face must have been in view until what is known of it counts in full."""
    lag_sharpness: float = 20.0
    """Per unit of cosine: how strongly the best believable lag counts while a lag is not known well."""
    bias: float = -14.7
    sync: float = 38.0
    level: float = 37.0
    activity: float = 1.0
    most_for: float = 24.0
    most_against: float = 4.0
    """Log-odds a second are cut at these: a few ticks that do not fit must not end a turn."""
    still_below: float = -3.2
    stillness: float = 19.0
    """Log-odds of visual speech under which a mouth is still, and what each unit below takes away besides. Of talking
    mouths 99 % lie above −0.2, of frozen faces 99 % below −3.3 (measured): whose mouth is still has somebody else's
    voice.
    """
    most_activity: float = 6.0
    """Log-odds of visual speech are cut at plus and minus this, so that sight alone never outweighs sync."""
    unknown_activity: float = 1.0
    """Stands for the log-odds of visual speech where the model does not tell: as of most speaking faces (measured)."""


@dataclass(frozen=True)
class BeliefSettings:
    """The hidden Markov model of who speaks: what is believed before anything is heard, and how often it changes."""

    nobody_in_view: float = 0.06
    """Before anything is known: that the voice comes from out of view …"""
    two_at_once: float = 0.01
    """… or from two faces …"""
    most_at_first: float = 0.26
    """… and what is believed of a single face at most: who is alone in view is not therefore the one who speaks."""
    changes_a_second: float = 0.13
    """How often somebody else goes on where one stops, without a pause between."""


@dataclass(frozen=True)
class LagSettings:
    """How the lag of the room and of each face is found."""

    min_speech: float = 0.5
    """Speech probability under which a tick says nothing about the lag."""
    room_seconds: float = 6.0
    """Time constant in seconds of speech: clocks drift by tens of milliseconds an hour."""
    room_sharpness: float = 20.0
    """Belief (natural log) per unit of cosine that a lag stands out by."""
    settle_seconds: float = 2.5
    """Speech heard until the room's lag is known: what does not fit says little about a face before."""
    prior_ticks: float = 6.0
    """Deviation of the lag that is expected before anybody has spoken: most cameras are within 240 ms."""
    level_share: float = 0.3
    """Weight of a face's level beside its peak, when it is asked whose curve the lag is taken from."""
    face_seconds: float = 1.5
    face_sharpness: float = 40.0
    face_ticks: float = 3.0
    """How far a face's own lag may be from the room's: 120 ms of deviation. In 2 of 7 development scenes tiles differ
    by 80 to 240 ms; without a lag of their own the right person is marked in 4 % less of the time (measured)."""
    slip_seconds: float = 2.0
    """How long it takes to believe that sound or picture was held up: the time constant of what is compared …"""
    slip_rise: float = 0.05
    """… and how much better, in cosine, anybody's lips must fit at some lag than at those that are believed. Measured:
    from five seconds after a slip of 320 ms the right person is marked in 0.77 of the time (0.40 without), from ten
    seconds after in 0.90 (0.53); in 16 galleries of 40 s without a slip it is never taken for one, nor with tiles that
    are 240 or 320 ms apart."""


@dataclass(frozen=True)
class TurnSettings:
    """When somebody's turn begins and ends. Thresholds are probabilities, times are seconds."""

    speech_on: float = 0.5
    speech_off: float = 0.35
    """silero-vad's own recommendation."""
    hold_seconds: float = 0.3
    """A pause this short inside speech is no silence."""
    on: float = 0.28
    off: float = 0.24
    """When there is speech it is most likely somebody's in view: little belief names a face, less loses it."""
    challenger_odds: float = 2.0
    """A challenger's odds must be more than this many times the primary's."""
    also_on: float = 0.5
    also_off: float = 0.4
    """Beside the primary speaker speaks only who is believed as likely as not."""
    offscreen_from: float = 0.9
    """That nobody in view speaks, to say so: until then it is not known yet whose voice it is."""
    longest_step_seconds: float = 0.16
    """Every fourth tick, the least that is scored under load. Evidence of one tick counts for no longer than that."""


@dataclass(frozen=True)
class Settings:
    """Everything that decides who is speaking."""

    evidence: EvidenceSettings = EvidenceSettings()
    belief: BeliefSettings = BeliefSettings()
    lag: LagSettings = LagSettings()
    turns: TurnSettings = TurnSettings()
