"""Audio encoder stream: audio in; one audio embedding and one speech probability a tick out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from speakerlight.core.audio.logmel import StreamingLogMel, samples_for_column
from speakerlight.core.audio.vad import VoiceActivity, samples_for_tick
from speakerlight.core.media import Samples, cleaned
from speakerlight.core.models.lipsync import LipSyncModel
from speakerlight.core.models.speech_head import MEAN_TICKS, speech_head_for

_LAST_TICKS = np.arange(MEAN_TICKS)[::-1]


class AudioEncoderStream:
    """Embeds an audio stream once a tick for all faces, and keeps the last ``memory_ticks`` ticks.

    ``through`` is the newest tick of which both embedding and speech are known, −1 at first.
    """

    def __init__(self, model: LipSyncModel, memory_ticks: int) -> None:
        self._model = model
        self._log_mel = StreamingLogMel(model.mel)
        self._voice = VoiceActivity()
        self._columns = np.full((max(0, -model.mel_start(0)), model.mel.mels), model.mel.silence, np.float32)
        self._first_column = min(0, model.mel_start(0))
        self._samples = 0
        self._embedded = -1
        self._voiced = -1
        self._judged = -1
        self._head = speech_head_for(model.name)
        self._memory = memory_ticks
        self._vectors = np.zeros((memory_ticks, model.dimensions), np.float32)
        self._voice_activity = np.zeros(memory_ticks, np.float32)
        self._speech = np.zeros(memory_ticks, np.float32)

    @property
    def through(self) -> int:
        return min(self._embedded, self._voiced)

    def lacks(self, tick: int) -> int:
        """How many more samples are needed before ``tick`` is known; 0 or less when it is."""
        last_column = self._model.mel_start(tick) + self._model.mel_window - 1
        needed = max(samples_for_column(last_column, self._model.mel), samples_for_tick(tick))
        return needed - self._samples

    def push_audio(self, samples: Samples) -> None:
        """Consume the next samples of a stream without gaps that began at session time 0. Damaged samples become 0."""
        samples = cleaned(samples)
        self._samples += len(samples)
        for activity in self._voice.push(samples):
            self._voiced += 1
            place = self._voiced % self._memory
            self._voice_activity[place] = self._speech[place] = activity
        self._columns = np.concatenate([self._columns, self._log_mel.push(samples)])
        known = self._first_column + len(self._columns)
        ticks: list[int] = []
        while self._model.mel_start(self._embedded + 1 + len(ticks)) + self._model.mel_window <= known:
            ticks.append(self._embedded + 1 + len(ticks))
        # In parts: after a stall a driver may push seconds of audio at once.
        for at in range(0, len(ticks), self._memory):
            self._embed(ticks[at : at + self._memory])
        self._judge()
        needless = self._model.mel_start(self._embedded + 1) - self._first_column
        self._columns, self._first_column = self._columns[needless:].copy(), self._first_column + needless

    def _embed(self, ticks: list[int]) -> None:
        starts = np.array([self._model.mel_start(tick) - self._first_column for tick in ticks])
        windows = self._columns[starts[:, None] + np.arange(self._model.mel_window)]
        self._vectors[np.array(ticks) % self._memory] = self._model.embed_audio(windows)
        self._embedded = ticks[-1]

    def _judge(self) -> None:
        """Speech of the ticks that are embedded by now, one by one: its rounding does not depend on their number."""
        if self._head is None:
            return
        first = max(self._judged, self.through - self._memory + MEAN_TICKS)
        self._judged = self.through
        for tick in range(first + 1, self.through + 1):
            places = (tick - _LAST_TICKS) % self._memory
            speech = self._head.probabilities(self._voice_activity[places], self._vectors[places])
            self._speech[tick % self._memory] = speech.item()

    def vectors(
        self, ticks: npt.NDArray[np.int_], newest: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Audio embeddings of ``ticks``, [len(ticks), D], and which there are, [len(ticks)].

        There is none, and zeros instead, where a tick is not known yet, or dropped, and before 0 and after ``newest``.
        """
        first, last = max(0, self._embedded - self._memory + 1), min(newest, self._embedded)
        known = (ticks >= first) & (ticks <= last)
        return self._vectors[ticks % self._memory] * known[:, None], known

    def speech(self, ticks: npt.NDArray[np.int_]) -> npt.NDArray[np.float32]:
        """Speech probability of ``ticks``, 0 to 1; 0 outside the ticks that are known. Of the last ticks of a stream,
        which are not embedded, it is their voice activity."""
        known = (ticks >= self._oldest) & (ticks <= self._voiced)
        return np.asarray(self._speech[ticks % self._memory] * known, np.float32)

    def voice_activity(self, tick: int) -> float:
        """The same of one tick from voice activity alone, which is known earlier."""
        is_known = self._oldest <= tick <= self._voiced
        return self._voice_activity[tick % self._memory].item() if is_known else 0.0

    @property
    def _oldest(self) -> int:
        return max(0, self._voiced - self._memory + 1)
