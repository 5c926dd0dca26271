"""What is computed: faces, crops, log-mel, SyncNet, lag, turns, events.

Nothing here starts a thread, opens a device or a socket, or reads a wall clock: arrays and timestamps in, values out.
"""
