"""Identities at each tick: the person of each track, the voice that speaks, and the person it belongs to.

An off-screen speaker, too, is known by voice: speech of a person who is not in view gets that person's id.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from speakerlight.core.decision.chain import NO_VOICE, VoiceCue
from speakerlight.core.faces.vision import FrameTracks
from speakerlight.core.identities import NO_IDENTITIES, Identities, Merge, voice_label
from speakerlight.core.media import Samples
from speakerlight.core.people.enrolment import Enrolled
from speakerlight.core.people.voice_owners import VoiceOwners
from speakerlight.core.people.voices import HOP_TICKS, VoiceClusters, VoiceSettings

_AHEAD_TICKS = 2
"""A tick uses the hops that end up to this many ticks after its own audio. The lip-sync models need audio to 132 ms or
more after the tick's start, so these hops are complete whenever the tick is decided, live or fast."""

_FIRST_HOPS = VoiceSettings.segment_hops
"""Hops that are embedded together at the beginning: no voice is known earlier, so the encoder has time to load."""

_SPEECH_FROM = 0.5
"""Probability above which a tick counts as speech."""

_NOBODY_SHARE = 0.5
"""Weight of a hop's evidence for people out of view, relative to that for people in view."""

_LEAST_CHANGE = 0.02
"""Changes of the owners' probabilities below this are ignored as noise."""

_SURE_WEIGHT = 4.0
"""Weight of a face whose voice certainly speaks (1: nothing is known): the inverse of the chain's maximum prior of a
face."""

_MOST_PAIR = 0.3
"""Probability of two simultaneous speakers above which a tick does not update voices."""

_OWNED_FROM = 0.5
"""Probability above which the speaking voice is attributed to a person out of view."""

_CONFIRM_TICKS = 15
"""A person who left the view counts as off-screen speaker only if the voice since then is theirs: a 0.6 s window."""


class VoiceHops(Protocol):
    """Voice embeddings of a stream of audio, with the values of ``VoiceStream``, wherever they are computed."""

    def push(self, samples: Samples) -> None:
        """Take the next samples, gapless from session time 0."""

    def take(self) -> npt.NDArray[np.float32] | None:
        """Embeddings of the next hop, [8, 256]; None while its audio has not come."""


class WhoIsWho:
    """Follows the persons and, with ``stream``, the voices of a session. ``known``: enrolled people. Ticks increase."""

    def __init__(self, stream: VoiceHops | None = None, known: Sequence[Enrolled] = ()) -> None:
        self._stream = stream
        self._clusters = VoiceClusters()
        self._owners = VoiceOwners(self._clusters)
        self._known = known
        self._enrol_known()
        self._resets = 0
        self._next_hop = 0
        self._voices: Mapping[int, float] = {}
        self._persons: frozenset[int] = frozenset()
        self._standing: VoiceCue | None = None  # until the next hop, or until somebody comes or leaves
        self._left: dict[int, int] = {}  # audio tick of leaving, for persons who left recently
        self._nobodys: set[int] = set()
        self._waiting: deque[tuple[int, Identities]] = deque()
        self._identities = NO_IDENTITIES

    def restore(self, people: Sequence[Enrolled]) -> None:
        """Take over the voices of another session's people, who have ids."""
        for person in people:
            if person.voice is not None:
                self._clusters.enrol(person.name or None, person.voice, person.id)

    def _enrol_known(self) -> None:
        for person in self._known:
            if person.voice is not None:
                self._clusters.enrol(person.name, person.voice)

    def _forget(self) -> None:
        """Forget every voice, and whose it was; enrolled voices stay as they were enrolled."""
        self._clusters.forget()
        self._standing = None
        self._enrol_known()
        self._voices, self._persons = {}, frozenset()
        self._left, self._nobodys = {}, set()

    def push_tracks(self, frame_tracks: Sequence[FrameTracks]) -> None:
        """Take the identities of the next ticks."""
        self._waiting.extend((tracks.tick, tracks.identities) for tracks in frame_tracks)

    def push_audio(self, samples: Samples) -> None:
        """Take the next samples, gapless from session time 0."""
        if self._stream is not None:
            self._stream.push(samples)

    def identities(self, tick: int) -> Identities:
        """The identities at ``tick``, with all merges of ids since the last call."""
        merges: list[Merge] = []
        while self._waiting and self._waiting[0][0] <= tick:
            self._identities = self._waiting.popleft()[1]
            merges += self._identities.merges
            if self._identities.resets > self._resets:
                self._resets = self._identities.resets
                self._forget()
        for merge in merges:
            self._clusters.merge(merge.id, merge.into)
            self._standing = None
        for person, name in self._identities.names.items():
            self._clusters.meet(name, person)
        self._nobodys &= self._clusters.numbers
        for voice in sorted(self._nobodys):
            owner = self._owners.owner(voice)
            if owner is not None:
                self._nobodys.discard(voice)
                merges.append(Merge(-voice, owner))
        voices = {-voice: self._clusters.name(voice) or voice_label(voice) for voice in self._nobodys}
        names = {**self._identities.names, **voices}
        return Identities(self._identities.persons, tuple(merges), names)

    def cue(self, audio_tick: int, persons: Sequence[int], speech: Callable[[int], float]) -> VoiceCue:
        """Voice evidence at ``audio_tick``. ``persons``: in view; ``speech``: speech probability by tick of audio."""
        if self._stream is None:
            return NO_VOICE
        heard, in_view = self._take_hops(self._stream, audio_tick, speech), frozenset(persons)
        if not heard and in_view == self._persons and self._standing is not None:
            return self._standing
        voices = self._clusters.probabilities
        owners, stranger = self._owners.owners(persons, voices)
        gains, nobody_gain = self._owners.matches(persons)
        self._standing = VoiceCue(
            gains={person: gain / HOP_TICKS for person, gain in gains.items()},
            nobody_gain=_NOBODY_SHARE * nobody_gain / HOP_TICKS,
        )
        cue = replace(self._standing, changed=self._changed(persons, voices, owners))
        if in_view != self._persons:
            cue = self._with_prior(cue, persons, voices, owners, stranger)
        self._left |= dict.fromkeys(self._persons - in_view, audio_tick)
        self._left = {p: at for p, at in self._left.items() if audio_tick - at < _CONFIRM_TICKS and p not in persons}
        self._voices, self._persons = voices, in_view
        return cue

    def _take_hops(self, stream: VoiceHops, audio_tick: int, speech: Callable[[int], float]) -> bool:
        """Take the hops that are complete for ``audio_tick``; whether there was one."""
        first_hop = self._next_hop
        while max(self._next_hop + 1, _FIRST_HOPS) * HOP_TICKS <= audio_tick + _AHEAD_TICKS + 1:
            if (windows := stream.take()) is None:
                break
            first = self._next_hop * HOP_TICKS
            spoken = np.mean([speech(tick) >= _SPEECH_FROM for tick in range(first, first + HOP_TICKS)])
            self._clusters.update(windows, float(spoken))
            self._next_hop += 1
        return self._next_hop > first_hop

    def _with_prior(
        self,
        cue: VoiceCue,
        persons: Sequence[int],
        voices: Mapping[int, float],
        owners: Mapping[int, float],
        stranger: float,
    ) -> VoiceCue:
        """``cue`` where people came into view or left: who speaks goes on, wherever the camera looks."""
        # Weights are relative; the surer the owner, the larger all of them, which lifts the chain's limit of a face.
        known = min(1.0, sum(self._owners.known_owners(voices).values()))
        options = (len(persons) + 1) * (1 - known) + max(len(persons) + 1, _SURE_WEIGHT) * known
        absent = stranger + sum(p for person, p in owners.items() if person not in persons)
        prior = {person: options * owners[person] for person in persons}
        return replace(cue, prior=prior, prior_nobody=options * absent)

    def _changed(self, persons: Sequence[int], voices: Mapping[int, float], owners: Mapping[int, float]) -> float:
        """Probability that the speaker changed since the tick before, or that the speaker came into view or left."""
        before, _ = self._owners.owners(persons, self._voices)
        everybody = {*owners, *before}
        changed = 0.5 * sum(abs(owners.get(p, 0.0) - before.get(p, 0.0)) for p in everybody)
        moved = self._persons.symmetric_difference(persons)
        changed += sum(p for person, p in self._owners.known_owners(voices).items() if person in moved)
        return min(changed, 1.0) if changed >= _LEAST_CHANGE else 0.0

    def learn(self, evidence: Mapping[int, float], pair: float) -> None:
        """Consume a tick's lip-sync evidence: log-odds by person in view, and the probability of two speakers."""
        if self._stream is not None and pair < _MOST_PAIR:
            self._clusters.learn(evidence)

    def offscreen(self, persons: Sequence[int]) -> int | None:
        """The off-screen speaker: the person whose voice it is, or minus the number of a voice without a person.

        ``persons``: in view. None while the voice is not known.
        """
        known = self._owners.known_owners(self._voices)
        absent = {person: p for person, p in known.items() if person not in persons}
        best = max(absent, key=absent.__getitem__, default=None)
        if best is not None and absent[best] > _OWNED_FROM:
            return best if best not in self._left else None
        voice = self._clusters.current
        if voice is None or sum(known.values()) > 1 - _OWNED_FROM:
            return None
        self._nobodys.add(voice)
        return -voice

    def voice_of(self, person: int) -> npt.NDArray[np.float32] | None:
        """The embedding of a person's voice; None while no voice is assigned to the person."""
        return self._owners.voice_of(person)
