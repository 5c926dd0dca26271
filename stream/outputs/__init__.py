"""Outputs of a run (recording, events, RTTM, plot, OBS, …): opened only on request, fed alike live and fast."""

# First of all: PyAV and OpenCV each bring a libxcb, and OpenCV's window hangs when PyAV's was loaded before it.
import cv2 as _cv2  # noqa: F401
