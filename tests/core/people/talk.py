"""People who speak one after the other, as the embeddings that their voices would have."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from speakerlight.core.people.voice_model import Floats, shipped_voice_model
from speakerlight.core.people.voice_owners import VoiceOwners
from speakerlight.core.people.voices import VoiceClusters

WINDOWS = 8

NOISE = 0.75
"""Deviation within a voice relative to the model's, which spans several rooms and microphones."""


class Talk:
    """Voices drawn from the shipped model. ``alike``: share of their differences that is left."""

    def __init__(self, seed: int = 0, people: int = 6, alike: float = 1.0) -> None:
        self.rng = np.random.default_rng(seed)
        self.model = shipped_voice_model()
        self._back = np.linalg.pinv(self.model.projection)
        drawn = self.rng.normal(size=(people, len(self.model.between)))
        self.voices = alike * drawn * np.sqrt(self.model.between)
        self.clusters = VoiceClusters()
        self.owners = VoiceOwners(self.clusters)
        self.last = 0

    def embedding(self, coordinates: Floats, hops: int = 5) -> npt.NDArray[np.float32]:
        """The embedding that has these coordinates in a window of so many hops."""
        mean, gain = self.model.mean[hops - 1], self.model.gain[hops - 1]
        return np.asarray(mean + (gain * coordinates) @ self._back, np.float32)

    def speak(self, who: int, seconds: float) -> list[int | None]:
        """The number of the voice that is found to speak, hop by hop. Windows reach back over the change."""
        found = []
        for hop in range(round(seconds * 5)):
            windows = []
            for hops in range(1, WINDOWS + 1):
                share = min(1.0, (hop + 1) / hops)  # the rest of the window is the voice before
                voice = share * self.voices[who] + (1 - share) * self.voices[self.last]
                noise = NOISE * self.rng.normal(size=len(voice)) * np.sqrt(self.model.within[hops - 1])
                windows.append(self.embedding(voice + noise, hops))
            self.clusters.update(np.array(windows), 1.0)
            found.append(self.clusters.current)
        self.last = who
        return found

    def pause(self, seconds: float) -> None:
        for _ in range(round(seconds * 5)):
            self.clusters.update(np.zeros((WINDOWS, 256), np.float32), 0.0)
