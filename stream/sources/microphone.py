"""A microphone (or a monitor of what the system plays) through PortAudio, at its own rate, resampled once to 16 kHz.

The callback runs in a real-time thread: it copies into a preallocated ring and counts, nothing else. The thread that
takes the audio mixes, resamples and dates it. PortAudio's own times are not used: see
:class:`speakerlight.clock.DeviceClock`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from speakerlight.clock import DeviceClock, SessionClock
from speakerlight.core.errors import InputError
from speakerlight.core.media import AudioChunk, Samples
from speakerlight.core.timebase import SAMPLE_RATE
from speakerlight.rings import AudioRing, Block
from speakerlight.sources.channels import ChannelMixer
from speakerlight.sources.gapless_audio import LiveGaplessAudio
from speakerlight.sources.notices import Notices, SilenceNotice
from speakerlight.sources.quiet_libraries import quiet_libraries
from speakerlight.sources.source import AudioChoice, SourceOptions, ThreadedSource

RING_SECONDS = 10

CHANNELS = 2
"""Channels that are captured and mixed at most; arrays of microphones repeat themselves in the rest."""

MUTE_SECONDS = 2.0
"""A device whose callback has not run for this long is gone: many systems give no other sign."""

POLL_SECONDS = 0.1

BLOCK_SECONDS = 0.01
LATENCY_SECONDS = 0.05
"""A hundred callbacks a second cost little; left to itself PortAudio makes five hundred under PulseAudio (measured).
The device's buffer holds what comes while Python is busy elsewhere."""


class MicrophoneSource(ThreadedSource):
    """The microphone ``wanted``: its index, a part of its name, or None for the default one.

    Raises InputError where PortAudio, any microphone or this one is missing. One that is pulled out is opened again
    when it is back; meanwhile there is silence.
    """

    def __init__(self, wanted: int | str | None = None, options: SourceOptions | None = None) -> None:
        self._wanted = wanted
        self._options = options or SourceOptions()
        self._stream: _CaptureStream | None = _CaptureStream(wanted, self._options.choice)
        self._silence = SilenceNotice(Notices(f"microphone {self._stream.name}", self._options.notify))
        self._overflows = 0
        self._line = LiveGaplessAudio()
        super().__init__(self._stream.name, None, has_audio=True)

    @property
    def audio_overflows(self) -> int:
        stream = self._stream
        return self._overflows + (stream.overflows if stream else 0)

    def take_audio(self) -> list[AudioChunk]:
        if self._clock is None:
            return []
        stream = self._stream
        chunks = list(stream.take()) if stream else []
        for _, samples in chunks:
            self._silence.push(samples)
        return self._line.place(chunks, self._clock.now())

    def stop(self) -> None:
        super().stop()
        if self._thread is None and self._stream is not None:
            self._stream.close()

    def _capture(self, clock: SessionClock) -> None:
        while (stream := self._stream) is not None:
            try:
                lost = self._record(stream, clock)
            finally:
                self._overflows += stream.overflows
                self._stream = None
                stream.close()
            if self._stopping.is_set():
                return
            self._stream = self._reopened(self._found_again, f"microphone {self.name}: {lost}")

    def _record(self, stream: _CaptureStream, clock: SessionClock) -> str:
        """Record until stopped or lost; return how it ended."""
        try:
            stream.start(clock)
        except portaudio().PortAudioError as error:
            return f"cannot be started ({error.args[0]})"
        written, since = 0, clock.now()
        while not self._stopping.wait(POLL_SECONDS):
            if stream.written != written:
                written, since = stream.written, clock.now()
            elif clock.now() - since > MUTE_SECONDS:
                return "gives no more audio"
        return "stopped"

    def _found_again(self) -> _CaptureStream:
        # PortAudio lists the devices once, when it is initialised.
        library = portaudio()
        with quiet_libraries():
            library._terminate()
            library._initialize()
        return _CaptureStream(self._wanted, self._options.choice)


class _CaptureStream:
    """One opened input stream: device, ring, clock and resampler, which all begin anew when the device is reopened."""

    def __init__(self, wanted: int | str | None, choice: AudioChoice) -> None:
        library = portaudio()
        device = find_device(library, wanted)
        self.name = str(device["name"])
        self._rate = float(device["default_samplerate"])
        channels = min(max(CHANNELS, choice.channel or 0), int(device["max_input_channels"]))
        self._mixer = ChannelMixer(choice.channel_index, self._rate)
        self._ring = AudioRing(int(RING_SECONDS * self._rate), channels)
        self._device_overflows = 0
        self._seen_overflows = 0
        self._line = DeviceClock()
        self._session: SessionClock | None = None
        self._begin_resampling(0)
        try:
            with quiet_libraries():
                self._stream = library.InputStream(
                    samplerate=self._rate,
                    device=device["index"],
                    channels=channels,
                    dtype="float32",
                    blocksize=round(BLOCK_SECONDS * self._rate),
                    latency=LATENCY_SECONDS,
                    callback=self._push_audio,
                )
        except library.PortAudioError as error:
            why = f"cannot be opened ({error.args[0]}); close what else uses it, or use --audio none"
            raise InputError(f"microphone {self.name}: {why}") from None

    @property
    def overflows(self) -> int:
        return self._device_overflows + self._ring.overflows

    @property
    def written(self) -> int:
        return self._ring.written

    def start(self, clock: SessionClock) -> None:
        self._session = clock
        self._stream.start()

    def close(self) -> None:
        with quiet_libraries():
            self._stream.close(ignore_errors=True)

    def take(self) -> Iterator[tuple[float, Samples]]:
        """Session time and 16 kHz samples of what came since the last call."""
        blocks = self._ring.take()
        if self._device_overflows != self._seen_overflows:
            self._seen_overflows = self._device_overflows
            self._line.resync()
        for block in blocks:
            self._line.observe((block.first + len(block.samples)) / self._rate, block.stamp)
        for block in blocks:
            yield from self._resampled(block)

    def _push_audio(self, samples: npt.NDArray[np.float32], frames: int, times: Any, status: Any) -> None:
        if status.input_overflow:
            self._device_overflows += 1
        if self._session is not None:
            self._ring.write(samples, self._session.now())

    def _resampled(self, block: Block) -> Iterator[tuple[float, Samples]]:
        if block.first != self._next:
            self._begin_resampling(block.first)
        self._next += len(block.samples)
        samples = self._resampler.resample_chunk(self._mixer.mix(block.samples.T))
        if len(samples):
            device_seconds = self._base / self._rate + self._produced / SAMPLE_RATE
            self._produced += len(samples)
            yield self._line.session_time(device_seconds), samples

    def _begin_resampling(self, first: int) -> None:
        self._resampler = soxr.ResampleStream(self._rate, SAMPLE_RATE, 1, dtype="float32")
        self._base = self._next = first
        self._produced = 0


def portaudio() -> ModuleType:
    """sounddevice, imported only when audio is wanted: it needs the system's PortAudio library. Raises InputError."""
    try:
        with quiet_libraries():
            import sounddevice
    except OSError:
        raise InputError(
            "no PortAudio library, which microphones need: install it (Debian, Ubuntu: apt install libportaudio2; "
            "Fedora: dnf install portaudio), or use --audio none"
        ) from None
    library: ModuleType = sounddevice
    return library


def find_device(library: ModuleType, wanted: int | str | None) -> dict[str, Any]:
    """sounddevice's description of the microphone. Raises InputError with one clear line."""
    inputs: list[dict[str, Any]] = [device for device in library.query_devices() if device["max_input_channels"] > 0]
    if wanted is None:
        named = [device for device in inputs if device["index"] == library.default.device[0]] or inputs
    elif isinstance(wanted, int):
        named = [device for device in inputs if device["index"] == wanted]
    else:
        exact = [device for device in inputs if device["name"].lower() == wanted.lower()]
        parts = [device for device in inputs if wanted.lower() in device["name"].lower()]
        named = exact or parts or _pulse(inputs, wanted)
    if named:
        return named[0]
    if wanted is None:
        raise InputError("no microphone: plug one in, or use --audio none or --audio FILE")
    raise InputError(f"no microphone {wanted!r}, and no such file: --list-devices names the microphones")


def _pulse(inputs: list[dict[str, Any]], wanted: str) -> list[dict[str, Any]]:
    """PulseAudio and PipeWire show ALSA programs one device, and choose the source behind it by this variable."""
    pulse = [device for device in inputs if device["name"] in ("pulse", "default")]
    if pulse and wanted.endswith(".monitor"):
        os.environ["PULSE_SOURCE"] = wanted
        return pulse
    return []
