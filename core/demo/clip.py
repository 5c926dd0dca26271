"""A clip of one drawn person who talks: training material with lips and audio in exact sync."""

from __future__ import annotations

import numpy as np

from speakerlight.core.demo.articulation import lips_at, talk
from speakerlight.core.demo.person import cast
from speakerlight.core.demo.portrait import Portrait
from speakerlight.core.demo.voice import speak
from speakerlight.core.media import Image, Samples
from speakerlight.core.timebase import TICK_RATE

SIDE = 256


def talking_clip(seed: int, seconds: float) -> tuple[list[Image], Samples]:
    """A person of ``seed`` who talks for ``seconds``: 25 frames a second of 256 × 256 × 3, and audio of that length.

    The first frame shows the moment of the first sample. The same seed gives the same person and the same syllables.
    """
    person, rng = cast(seed, 1)[0], np.random.default_rng([seed, 2])
    count = int(seconds * TICK_RATE)
    speech = talk(count / TICK_RATE, person.voice.syllable_rate, rng)
    portrait, frames = Portrait(person.look, SIDE, SIDE), []
    for index in range(count):
        time = index / TICK_RATE
        image = portrait.backdrop.copy()
        portrait.draw(image, person.habits.pose(time), lips_at(speech.lips, time))
        frames.append(image)
    return frames, speak(speech, person.voice, rng)
