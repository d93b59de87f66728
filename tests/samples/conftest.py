"""Puts samples/ on the path: its scripts are not part of any package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "samples"))
