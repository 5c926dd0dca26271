"""Where a run's results go: each output is opened only when asked for, is fed alike live and fast, and closes whole."""

# First of all: PyAV and OpenCV each bring a libxcb, and OpenCV's window hangs when PyAV's was loaded before it.
import cv2 as _cv2  # noqa: F401
