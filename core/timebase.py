"""The time base that everything shares: the 25 Hz tick grid and the 16 kHz sound rate."""

TICK_RATE = 25
"""Ticks (scored video frames) a second. SyncNet-type models are trained at 25 frames a second."""

SAMPLE_RATE = 16_000
"""Samples a second of the mono sound that every model hears."""

SAMPLES_PER_TICK = SAMPLE_RATE // TICK_RATE
