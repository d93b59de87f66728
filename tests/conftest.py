"""What every test needs, before the first of them is imported."""

import cv2  # noqa: F401  # before PyAV, or else its windows hang: see realtime.window
