"""WebRTC connections over aiortc. Only this folder touches aiortc's and aioice's private parts."""

from speakerlight.server.rtc.version_guard import check_versions

check_versions()
