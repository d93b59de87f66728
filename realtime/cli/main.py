"""The `impasto` command: a thin layer; each file beside this one holds what its name says.

Exit codes: 0; 1 the work failed; 2 bad arguments; 130 stopped by Ctrl-C.
"""

# ruff: noqa: I001  # --help lists the commands in the order of this import

import os
import signal
import sys
from collections.abc import Sequence
from io import TextIOWrapper

import typer

from impasto.realtime.cli import convert, live, paint, keyframes, styles, learn, export, measure  # noqa: F401
from impasto.realtime.cli.app import UsageError, app
from impasto.realtime.cli.terminal import complain


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (None: the process's own); return its exit code."""
    if argv is None:
        _stop_as_by_ctrl_c()
    if sys.stdout is None:  # closed; or else a file that is written would take its place
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # for as long as the process lives
    if isinstance(sys.stdout, TextIOWrapper):  # the name of a file may be what it cannot encode
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return app(args=argv, prog_name="impasto", standalone_mode=False) or 0
    except UsageError as error:
        context = getattr(error, "ctx", None)
        shown_by = context.command_path if context else "impasto"
        message = error.format_message().rstrip(".")  # type: ignore[attr-defined]
        complain(f"{message}. See {shown_by} --help.")
        return 2
    except (KeyboardInterrupt, typer.Abort):
        complain("stopped")
        return 130


def _stop_as_by_ctrl_c() -> None:
    """However a user or a system ends the process, what is done is to be kept, and to play."""
    for name in ("SIGTERM", "SIGHUP"):  # Windows lacks the latter: a terminal that is closed
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores it
            signal.signal(number, signal.default_int_handler)
