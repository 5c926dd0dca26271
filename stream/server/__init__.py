"""Browsers as cameras: rooms over WebRTC, and who speaks in them as a stream of events for pages and programs."""

# First of all: PyAV and OpenCV each bring a libxcb, and OpenCV's window hangs when PyAV's was loaded before it.
import cv2 as _cv2  # noqa: F401
