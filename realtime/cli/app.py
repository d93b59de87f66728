"""The `impasto` application, and the decorator that makes a function one of its commands."""

import functools
import traceback as tracebacks
from collections.abc import Callable
from typing import Annotated, Any

import typer

from impasto.models.errors import ImpastoError
from impasto.realtime.cli.terminal import error_message, print_error, print_line

# Options that were renamed: the old spelling is still accepted, and not shown.
RENAMED_OPTIONS = {
    "retouch": "refine",
    "teach": "finetune",
    "alone": "style-only",
    "carried": "propagated",
    "teacher": "vgg19-weights",
}
app = typer.Typer(
    name="impasto",
    add_completion=False,
    rich_markup_mode=None,  # its tables leave descriptions a third of 80 columns
    pretty_exceptions_enable=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda name: RENAMED_OPTIONS.get(name, name),
    },
)
# The class of every usage error; some versions of typer carry their own click, others import it.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def command(*, example: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function a command: `example` ends its help, and an error is one line, exit code 1."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(**given: Any) -> None:
            try:
                function(**given)
            except (UsageError, typer.Exit, typer.Abort, BrokenPipeError):
                raise
            except Exception as error:
                if given["traceback"]:
                    tracebacks.print_exc()
                elif isinstance(error, ImpastoError) or getattr(error, "filename", None):
                    print_error(error_message(error))  # or the system's own about a file
                elif isinstance(error, ImportError) and "shared object" in str(error):
                    print_error(f"{error}; OpenCV needs the packages libgl1 and libglib2.0-0")
                else:
                    print_error(
                        f"internal error: {type(error).__name__}: {error}; "
                        "please report it with the output of --traceback"
                    )
                raise typer.Exit(1) from None

        about = " ".join((function.__doc__ or "").partition("\n\n")[0].split())
        return app.command(epilog=f"Example: {example}", short_help=about)(run)

    return register


@app.callback(invoke_without_command=True)
def impasto(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Real-time video stylization. Each command shows an example with --help."""
    if version:
        from impasto.models.machine_cache import version_of

        print_line(f"impasto {version_of('impasto') or '(not installed)'}")
    elif context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)
