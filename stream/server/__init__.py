"""The server: browsers as cameras over WebRTC, rooms with an engine each, events for pages and programs."""

# First of all: PyAV and OpenCV each bring a libxcb, and OpenCV's window hangs when PyAV's was loaded before it.
import cv2 as _cv2  # noqa: F401
