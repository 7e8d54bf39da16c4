"""`specbench inspect`: what a model file is and what can be done with it, before anything loads."""

import os
from pathlib import Path

from specbench.cli import options as o


def inspect(
    model: o.ModelPath,
    *,
    draft_model: o.DraftModel = None,
    discover: o.Discover = None,
    engines: o.EnginesFolder = None,
    json: o.Json = False,
) -> None:
    """Show what a model is, its heads and drafters, and the methods that each engine can run with it."""
    from specbench.cli import sections  # noqa: PLC0415  --help must not wait for it
    from specbench.inspection import inspect_model  # noqa: PLC0415
    from specbench.report import inspection as report  # noqa: PLC0415

    found = inspect_model(
        model,
        drafters=draft_model or (),
        engines=engines,
        discover=discover is not False,
        environment=os.environ,
        home=Path.home(),
    )
    if json:
        print(report.as_json(found))
    else:
        sections.show(report.sections(found))
