"""The `impasto` application, and what makes a function one of its commands."""

import functools
import traceback as tracebacks
from collections.abc import Callable
from typing import Annotated, Any

import typer

from impasto.models.errors import ImpastoError
from impasto.realtime.cli.terminal import complain, say, words_of

app = typer.Typer(
    name="impasto",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# The class of every usage error; some versions of typer carry their own click, others import it.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def command(*, example: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function a command that tells its errors in one line, and has an example."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def told(**given: Any) -> None:
            try:
                function(**given)
            except (UsageError, typer.Exit, typer.Abort, BrokenPipeError):
                raise
            except Exception as error:
                if given["traceback"]:
                    tracebacks.print_exc()
                elif isinstance(error, ImpastoError) or getattr(error, "filename", None):
                    complain(words_of(error))  # or of a file that nobody may see, a name too long
                else:
                    complain(
                        f"a bug, or something nobody thought of: {type(error).__name__}: {error}. "
                        "Please report it, with what --traceback adds."
                    )
                raise typer.Exit(1) from None

        return app.command(epilog=f"Example: {example}")(told)

    return register


@app.callback(invoke_without_command=True)
def impasto(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Turns video into painting. Each command shows an example with --help."""
    if version:
        from impasto.realtime.measure.doctor import version_of

        say(f"impasto {version_of('impasto') or '(not installed)'}")
    elif context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)
