"""Time base: the 25 Hz tick grid and the 16 kHz audio rate that all stages share."""

TICK_RATE = 25
"""Ticks (scored video frames) per second. SyncNet-type models are trained at 25 frames per second."""

SAMPLE_RATE = 16_000
"""Samples per second of the mono audio that every model receives."""

SAMPLES_PER_TICK = SAMPLE_RATE // TICK_RATE
