"""`specbench hardware`: what this machine is and can do, and what is known of devices."""

from pathlib import Path
from typing import Annotated

import typer

from specbench.cli import options as o
from specbench.cli.lists import show_rows

hardware = typer.Typer(help="What this machine is and can do.", no_args_is_help=True, rich_markup_mode=None)


@hardware.command("show")
def show(*, root: o.Root = None, from_capture: o.FromCapture = None, json: o.Json = False) -> None:
    """Show what was detected; a reading that is missing has its reason."""
    from specbench import listings  # noqa: PLC0415  --help must not wait for it
    from specbench.hardware import capture  # noqa: PLC0415
    from specbench.hardware.detect import detect  # noqa: PLC0415

    machine = detect(capture.source(root, from_capture), devices=True)
    if json:
        typer.echo(listings.machine_json(machine))
    for title, rows in {} if json else listings.machine_rows(machine).items():
        show_rows(title, rows, json=False)


@hardware.command("capture")
def capture(file: Annotated[Path, typer.Argument(metavar="FILE", help="The archive to write, a .tar.gz.")]) -> None:
    """Write what detection reads to a file that `show --from-capture` replays: for bug reports and tests."""
    from specbench.hardware import capture  # noqa: PLC0415  --help must not wait for it

    typer.echo(f"{file}: {capture.write(file)} readings; look into it before you share it")


@hardware.command("list")
def hardware_list(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A profile, shown with its sources.")] = None,
    *,
    json: o.Json = False,
) -> None:
    """List the hardware profiles: published figures, each with its source."""
    from specbench import listings  # noqa: PLC0415  --help must not wait for it

    title = name or "Hardware profiles (T: 10^12 dense operations a second; * from memory)"
    show_rows(title, listings.hardware_rows(name, raw=json), json=json)


@hardware.command("profile")
def hardware_profile(
    *,
    model: o.OneModel = "ballast",
    engine: o.OneEngine = None,
    engine_path: o.EnginePath = None,
    engines: o.EnginesFolder = None,
    engine_set: o.EngineSetting = None,
    engine_arg: o.EngineArg = None,
    fill: o.OneFill = 1024,
    seconds: o.SecondsEach = 10.0,
    json: o.Json = False,
) -> None:
    """Measure memory bandwidth, and what it costs to verify k tokens at once."""
    from specbench import listings, profiling  # noqa: PLC0415  --help must not wait for it
    from specbench.analysis.verification import title  # noqa: PLC0415
    from specbench.cli import flags  # noqa: PLC0415

    asked: dict[str, object] = {
        "targets": [{"model": model}],
        "engine": engine,
        "engine_path": engine_path,
        "engine_settings": flags.settings(engine_set) or {},
        "engine_args": engine_arg or (),
    }
    measured = profiling.measure(
        asked, fill=fill, seconds=seconds, engines=engines, observe=lambda line: typer.echo(line, err=True)
    )
    record, chart = profiling.save(measured)
    if json:
        typer.echo(listings.measurement_json(measured))
    else:
        show_rows("Memory bandwidth", listings.bandwidth_rows(measured), json=False)
        show_rows(title(measured), listings.curve_rows(measured), json=False)
    typer.echo(f"record: {record}\nchart: {chart}", err=True)
