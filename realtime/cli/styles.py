"""`impasto styles`: the installed styles, as a table and as a contact sheet."""

from pathlib import Path
from typing import Annotated

import typer

from impasto.models.architectures import CLASSIC
from impasto.realtime.cli import options
from impasto.realtime.cli.app import command
from impasto.realtime.cli.terminal import print_line, show_json, show_table


@command(example="impasto styles --sheet styles.png --on holiday.jpg")
def styles(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="Styles of your own, to list with the others."),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="Write a contact sheet: one picture in every style."),
    ] = None,
    on: Annotated[
        Path | None,
        typer.Option(metavar="PICTURE", help="The picture for --sheet; default: a harbor."),
    ] = None,
    network: options.Network = "auto",
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """List the installed styles, and files of your own."""
    if on is not None and sheet is None:
        raise typer.BadParameter("--on needs --sheet.")
    from impasto.models.styles import known_styles, networks_of, style_in

    own = [style_in(path) for path in files or ()]
    own = [style for style in own if network == "auto" or network in style.weights]
    names = [] if own and network == CLASSIC else options.installed_styles(network)
    known = [*(known_styles()[name] for name in names), *own]
    if json:
        show_json([vars(style) for style in known])
    else:
        columns = ("style", "painting", "artist", "year", "license", "networks")
        rows = [
            (s.name, s.painting, s.artist, s.year, s.licence, ", ".join(networks_of(s.name)))
            for s in known
        ]
        show_table(columns, rows)
    if sheet is not None:
        from impasto.realtime.painting.sheet import write_style_sheet
        from impasto.realtime.samples import SAMPLE_IMAGE

        write_style_sheet(
            sheet,
            [style.name for style in known],
            on=on or SAMPLE_IMAGE,
            network=network,
            overwrite=overwrite,
        )
        if not json:
            print_line(f"{sheet}: {len(known)} styles")
