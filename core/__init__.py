"""The computation: faces, audio features, SyncNet, decision, events. Arrays and timestamps in, values out.

Nothing here starts a thread, opens a device or a socket, or reads a wall clock.
"""
