"""The computation: faces, audio features, SyncNet, decision, events. Arrays and timestamps in, values out.

Nothing here starts a thread, opens a device or a socket, or reads a wall clock. The folders are the stages::

    frames ─► faces: detect, track, crop ──────────┐
    audio ──► audio: log-mel, voice activity ──────┤
                                                   ▼
              models: SyncNet for every face in one batch, 25 ticks a second
              ─► decision: similarity at 31 lags ─► posterior over who × lag ─► turns
              ─► people: persons and voices ─► snapshot ─► events

A tick is decided 160 ms after its frame.
"""
