"""`specbench hardware`: what this machine is."""

from pathlib import Path
from typing import Annotated

import typer

from specbench.cli import options as o

hardware = typer.Typer(help="Show and capture what this machine is.", no_args_is_help=True, rich_markup_mode=None)


@hardware.command("show")
def show(*, root: o.Root = None, from_capture: o.FromCapture = None, json: o.Json = False) -> None:
    """Show what was detected; a reading that is missing has its reason."""
    from specbench import listings  # noqa: PLC0415  --help must not wait for it
    from specbench.cli import console  # noqa: PLC0415
    from specbench.hardware import capture  # noqa: PLC0415
    from specbench.hardware.detect import detect  # noqa: PLC0415

    machine = detect(capture.source(root, from_capture), devices=True)
    console.show_machine(machine, listings.machine_rows(machine), json=json)


@hardware.command("capture")
def capture(file: Annotated[Path, typer.Argument(metavar="FILE", help="The archive to write, a .tar.gz.")]) -> None:
    """Write what detection reads to a file that `show --from-capture` replays: for bug reports and tests."""
    from specbench.hardware import capture  # noqa: PLC0415  --help must not wait for it

    typer.echo(f"{file}: {capture.write(file)} readings; look into it before you share it")
