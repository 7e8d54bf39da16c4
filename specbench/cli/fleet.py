"""`specbench run --fleet`: the plan on the nodes of a Ray cluster."""

import sys
from pathlib import Path

from specbench import fleet, pipeline
from specbench.cli import flags
from specbench.cli.console import Progress
from specbench.errors import InputError
from specbench.planning import placement
from specbench.planning.fleetfile import conditions, validate_fleetfile
from specbench.records import Plan
from specbench.report.page import machine_in_words
from specbench.units import printable


def run(
    address: str,
    plan: Plan,
    path: Path | None,
    *,
    results: Path,
    file: Path | None,
    on: str | None,
    hostname: bool,
    dry_run: bool,
    budget: float | None,
) -> list[pipeline.Outcome]:
    """Measure the plan, or go on with the run at `path`; a dry run only names the nodes."""
    asked = conditions(on)
    if any(c.url is not None for c in plan.contenders):
        what = "nodes of a fleet would all measure one server at a URL, at the same time"
        raise InputError(what, hint="leave out --fleet, or leave out the URL so that each node starts its own engine")
    places = validate_fleetfile({} if file is None else flags.toml(file, what="fleet file"))
    with fleet.joined(address) as ray:
        nodes, left_out = fleet.nodes(ray, plan, file=places, on=asked, hostname=hostname)
        for node in nodes:
            can = f"{len(node.contenders) - len(node.lacks)} of {len(node.contenders)} contenders"
            print(printable(f"node {node.name}: {', '.join(machine_in_words(node.machine))}; {can}"), file=sys.stderr)
        for name, reason in left_out.items():
            print(printable(f"left out {name}: {reason}"), file=sys.stderr)
        if dry_run:
            return []
        kinds = 1 if path is not None else len(placement.kinds(nodes))
        with Progress(plan, nodes=[node.name for node in nodes], times=kinds) as progress:
            return fleet.carry_out(ray, plan, path, nodes, results=results, observe=progress.observe_on, budget=budget)
