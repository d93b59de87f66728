"""Whether to go on in int8 or in float, found out in another process, while this one paints.

In a thread of this process it would take seconds from the frames: it needs the lock of Python and
the threads of OpenVINO, and a thread that is merely nice delays others that wake on its core.
"""

from __future__ import annotations

import json
import subprocess
import sys
import weakref
from tempfile import TemporaryFile
from time import monotonic
from typing import NamedTuple

from safetensors.numpy import load, save

from impasto.models.styles import StyleWeights
from impasto.realtime.cpu import run_when_idle
from impasto.realtime.engines.select import open_engine


class TrialResult(NamedTuple):
    """The fastest precision that paints as float does, and lines for the user."""

    precision: str
    notes: list[str]


class Int8Trial:
    """A process that tries out a network on the CPU by one engine; see `select.open_engine`.

    What it measures is kept for the next start. It takes some five seconds of the cores: of what
    others leave, but where `hurries`. It ends with this object.
    """

    def __init__(self, weights: StyleWeights, *, engine: str, hurries: bool = False) -> None:
        self.weights, self.hurries = weights, hurries
        self.began = monotonic()
        with TemporaryFile() as file:
            file.write(save(weights.arrays))
            file.seek(0)
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, weights.architecture, engine],
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                creationflags=getattr(subprocess, "IDLE_PRIORITY_CLASS", 0),  # on Windows
            )
        if not hurries:
            run_when_idle(self._process.pid)
        self._end = weakref.finalize(self, _end, self._process)

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def read_result(self) -> TrialResult | None:
        """What it has found, once it is done, and once only; None where it failed."""
        output, _ = self._process.communicate()
        return TrialResult(**json.loads(output)) if self._process.returncode == 0 else None


def _end(process: subprocess.Popen[bytes]) -> None:
    with process:
        process.kill()


def main(architecture: str, engine: str) -> None:
    """The process: weights from standard input, a `TrialResult` to standard output."""
    weights = StyleWeights(architecture, load(sys.stdin.buffer.read()))
    opened = open_engine(weights, engine=engine, device="cpu")
    json.dump(TrialResult(opened.precision, opened.notes)._asdict(), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
