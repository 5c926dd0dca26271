"""How it runs live: clocks, rings, capture, threads, overlay, outputs, server. Imports ``core``, never the reverse."""

# First of all: PyAV and OpenCV each bring a libxcb, and OpenCV's window hangs when PyAV's was loaded before it.
import cv2 as _cv2  # noqa: F401
