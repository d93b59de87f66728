"""What every test needs, before the first of them is imported."""

import os
from tempfile import mkdtemp

import cv2  # noqa: F401  # before PyAV, or else its windows hang: see impasto.realtime.live.window

os.environ["XDG_CACHE_HOME"] = mkdtemp(prefix="impasto-tests-")  # what is remembered of a machine
