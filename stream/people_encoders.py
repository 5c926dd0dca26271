"""People encoders (face and voice) of a process: loaded once in the background, shared by all its engines.

Each takes a third of a second to load, which no first overlay has to wait for: nothing of them is needed in a session's
first 0.7 s. Voices are embedded in a thread of their own, one for all engines.
What is computed does not depend on when: a caller that needs a result not yet there waits for it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from typing import Self

import numpy as np
import numpy.typing as npt

from speakerlight.core.faces.tracking import TrackedFace
from speakerlight.core.identities import Identities
from speakerlight.core.media import Image, Samples
from speakerlight.core.people.face_encoder import FaceEncoder
from speakerlight.core.people.recognition import FaceRecognizer
from speakerlight.core.people.voice_encoder import VoiceEncoder, VoiceStream, samples_for_hop
from speakerlight.model_future import LoadFuture
from speakerlight.model_loading import PeopleFiles

FIRST_HOPS = 2
"""Hops before the voice encoder is loaded: 0.4 s. The first overlay is drawn by then."""

FACE_LOADING_SECONDS = 0.3
"""Time of the session from which the face encoder is loaded, once a face is in view …"""

FIRST_LOOK_SECONDS = 1.0
"""… and time from the first frame to the first look. In between all faces are new: only the names of
enrolled people come a moment later."""


class LoadingRecognizer:
    """``recognizer``, which begins ``loading`` its face encoder in time for the first look, and forgets when it must.

    ``resets``: how often everybody was to be forgotten so far.
    """

    def __init__(
        self, recognizer: FaceRecognizer, loading: LoadFuture[FaceEncoder], resets: Callable[[], int] = lambda: 0
    ) -> None:
        self._recognizer, self._loading, self._resets = recognizer, loading, resets
        self._forgotten = 0

    def identify(self, time: float, image: Image, faces: Sequence[TrackedFace]) -> Identities:
        """As :meth:`FaceRecognizer.identify`."""
        if faces and time >= FACE_LOADING_SECONDS:
            self._loading.begin()
        if (resets := self._resets()) != self._forgotten:
            self._forgotten = resets
            self._recognizer.forget()
        return self._recognizer.identify(time, image, faces)


class BackgroundVoices:
    """Hands audio to ``thread`` (of one worker) whenever it completes a hop, first ``FIRST_HOPS`` of them at once.

    ``push`` and ``take`` from one thread. A hop is needed 20 ms and more after its audio has come and takes 3 ms, so
    ``take`` waits only on an overloaded machine, and while the encoder is loaded. It raises what loading raised.
    """

    def __init__(self, thread: ThreadPoolExecutor, load: Callable[[], VoiceEncoder]) -> None:
        self._thread = thread
        self._stream = cache(lambda: VoiceStream(load()))
        self._pending: list[Samples] = []
        self._samples = 0
        self._hops = 0
        self._embedding: deque[Future[list[npt.NDArray[np.float32]]]] = deque()
        self._ready: deque[npt.NDArray[np.float32]] = deque()

    def load(self) -> None:
        """Load the encoder now. Raises what loading raises."""
        self._thread.submit(self._stream).result()

    def push(self, samples: Samples) -> None:
        """Take the next samples, gapless from session time 0."""
        self._pending.append(samples)
        self._samples += len(samples)
        if self._samples < samples_for_hop(max(self._hops, FIRST_HOPS - 1)):
            return
        while self._samples >= samples_for_hop(self._hops):
            self._hops += 1
        joined, self._pending = np.concatenate(self._pending), []
        self._embedding.append(self._thread.submit(lambda: self._stream().push(joined)))

    def take(self) -> npt.NDArray[np.float32] | None:
        """Embeddings of the next hop, [8, 256]; None while its audio has not come."""
        if not self._ready and self._embedding:
            self._ready.extend(self._embedding.popleft().result())
        return self._ready.popleft() if self._ready else None


class PeopleEncoders:
    """The face and the voice encoder of ``files``, from ``__enter__`` to ``__exit__``, for engines in any threads.

    Faces are embedded in the caller's thread, one call at a time (5 ms each); voices in one thread for all.
    """

    def __init__(self, files: PeopleFiles) -> None:
        self.faces = LoadFuture(partial(FaceEncoder, files.face_manifest, files.face_weights), "face encoder")
        self._voice = LoadFuture(partial(VoiceEncoder, files.voice), "voice encoder")
        self._embedding_faces = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "voices")

    def load(self) -> None:
        """Load both now, unless they are loaded. Raises InputError for a damaged file."""
        self._voice.begin()
        self.faces.result()
        self._voice.result()

    def embed_faces(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """As :class:`FaceEncoder`."""
        encoder = self.faces.result()
        with self._embedding_faces:
            return encoder(crops)

    def voices(self) -> BackgroundVoices:
        """Voice embeddings of one engine's audio."""
        return BackgroundVoices(self._thread, self._voice.result)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)
        self.faces.wait()
        self._voice.wait()
