"""Entry point of the `impasto` command.

Exit codes: 0; 1 the work failed; 2 bad arguments; 130 stopped by Ctrl-C.
"""

# ruff: noqa: I001  # --help lists the commands in the order of this import

import os
import signal
import sys
from collections.abc import Sequence
from io import TextIOWrapper

import typer

from impasto.realtime.cli import convert, live, paint, keyframes, styles, learn, export  # noqa: F401
from impasto.realtime.cli import bench, evaluate, doctor  # noqa: F401
from impasto.realtime.cli.app import UsageError, app
from impasto.realtime.cli.terminal import print_error


_EXPECTED = {  # by the beginning of pydantic's name of an error
    "int": "a whole number",
    "float": "a number",
    "finite_number": "a number",
    "greater_than_equal": "{ge} or more",
    "less_than_equal": "{le} or less",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (None: `sys.argv`); return its exit code."""
    if argv is None:
        _treat_signals_as_ctrl_c()
    if sys.stdout is None:  # closed; a file that is opened would get its descriptor
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # for as long as the process lives
    if isinstance(sys.stdout, TextIOWrapper):  # it may be unable to encode a file name
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return app(args=argv, prog_name="impasto", standalone_mode=False) or 0
    except UsageError as error:
        context = getattr(error, "ctx", None)
        shown_by = context.command_path if context else "impasto"
        if reason := plain_reason(error.__cause__):
            error.message = reason  # type: ignore[attr-defined]
        message = error.format_message().rstrip(".")  # type: ignore[attr-defined]
        print_error(f"{message}. See {shown_by} --help.")
        return 2
    except (KeyboardInterrupt, typer.Abort):
        print_error("stopped")
        return 130


def plain_reason(cause: BaseException | None) -> str:
    """What pydantic, by which typer checks arguments, has against one; empty for other errors."""
    if cause is None or not hasattr(cause, "errors"):
        return ""
    found = cause.errors()[0]
    kind, limits = found["type"], found.get("ctx", {})
    for name, words in _EXPECTED.items():
        if kind.startswith(name):
            return f"expected {words.format(**limits)}; got {found['input']!r}"
    return str(found["msg"]).removeprefix("Value error, ")


def _treat_signals_as_ctrl_c() -> None:
    """Let SIGTERM and SIGHUP stop the work as Ctrl-C does: files are finished and playable."""
    for name in ("SIGTERM", "SIGHUP"):  # SIGHUP: the terminal was closed; Windows has none
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores it
            signal.signal(number, signal.default_int_handler)
