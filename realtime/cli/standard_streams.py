"""Standard input and output as films: `-` on the command line."""

import os
import sys

from impasto.models.errors import SinkError, SourceError
from impasto.realtime.files.pipes import InputPipe, OutputPipe


def film_from_standard_input() -> InputPipe:
    """Standard input, as the film to read. Raises SourceError if it is the keyboard."""
    if sys.stdin is None or sys.stdin.isatty():
        raise SourceError("there is no film on standard input: send one through a pipe, |")
    return InputPipe(open(0, "rb", buffering=0, closefd=False))


def film_to_standard_output(extension: str) -> OutputPipe:
    """Standard output, for the film alone: what is printed goes to standard error from here on.

    Raises SinkError if it is the screen.
    """
    if sys.stdout.isatty():
        raise SinkError("the screen cannot show a film: send it through a pipe, |, or name a file")
    sys.stdout.flush()
    film = open(os.dup(1), "wb")  # noqa: SIM115  # for as long as the process lives
    # The descriptor too, not only Python's file: libraries print there.
    os.dup2(2 if sys.stderr is not None else os.open(os.devnull, os.O_WRONLY), 1)
    return OutputPipe(film, extension)
