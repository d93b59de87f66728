"""`impasto doctor`: what this machine has."""

import typer

from impasto.realtime.cli import options
from impasto.realtime.cli.app import command
from impasto.realtime.cli.terminal import print_line, show_json, show_nested


@command(example="impasto doctor --json")
def doctor(json: options.Json = False, traceback: options.Traceback = False) -> None:
    """Check this machine: devices, encoders, cameras, styles, speed. Exit code 1 for a problem."""
    from impasto.realtime.measure.doctor import examine

    report = examine()
    if json:
        show_json(report)
    else:
        speed = report["speed"]
        for name, value in report.items():
            if name != "speed":
                show_nested(name, value)
        for line in [speed] if isinstance(speed, str) else speed["lines"]:
            print_line(line)
    if report["problems"]:
        raise typer.Exit(1)
