"""Browsers as cameras: rooms over WebRTC, and who speaks in them as a stream of events for pages and programs."""
