"""What there is to choose from, and what was run: plain rows, for a table or for JSON."""

import shutil
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

from specbench import datafiles, store
from specbench.engines import catalog
from specbench.engines.profile import Profile
from specbench.pipeline import find_suite
from specbench.planning import suites
from specbench.records import Generation

Rows = list[dict[str, Any]]


def suite_rows() -> Rows:
    """The packaged suites."""
    found = [find_suite(path.parent.name) for path in sorted(datafiles.path("suites").glob("*/suite.toml"))]
    return [
        {
            "suite": suite.name,
            "version": suite.version,
            "prompts": len(suite.prompts),
            "categories": ", ".join(f"{k} {n}" for k, n in Counter(p.category for p in suite.prompts).items()),
            "licence": suite.licence,
        }
        for suite in found
    ]


def prompt_rows(name: str, *, categories: list[str] | None, tags: list[str] | None) -> Rows:
    """The prompts of a suite."""
    chosen = suites.select(find_suite(name), categories=categories, tags=tags or (), limit=None)
    return [
        {
            "prompt": prompt.id,
            "tags": ", ".join(prompt.tags),
            "check": prompt.check.kind if prompt.check else None,
            "constrained": "yes" if prompt.constrained else None,
            "text": prompt.passages.question if prompt.passages else prompt.messages[-1].content,
        }
        for prompt in chosen
    ]


def engine_rows(folder: Path | None) -> Rows:
    """The engine profiles, and where each one's program was found."""
    return [
        {
            "engine": name,
            "kind": profile.kind,
            "what": profile.title,
            "here": _found(profile),
            "methods": ", ".join(profile.methods),
        }
        for name, profile in catalog.profiles(folder).items()
    ]


def _found(profile: Profile) -> str | None:
    """The program of an engine on this machine, or the version of its package; None when it is not here."""
    if profile.kind == "xllamacpp":
        try:
            return metadata.version("xllamacpp")
        except metadata.PackageNotFoundError:
            return None
    return shutil.which(profile.executable) if profile.executable and profile.kind == "server" else None


def method_rows(folder: Path | None) -> Rows:
    """Every method of every engine with its settings; a default stands behind its setting."""
    return [
        {
            "engine": name,
            "method": method,
            "needs": entry.needs,
            "learns": "yes" if entry.learns else None,
            "settings": ", ".join(
                f"{key}={entry.defaults[key]}" if key in entry.defaults else key for key in entry.settings
            ),
        }
        for name, profile in catalog.profiles(folder).items()
        for method, entry in profile.methods.items()
    ]


def run_rows(results: Path) -> Rows:
    """The runs below `results`, oldest first."""
    rows = []
    for path in store.runs(results):
        run = store.read(path)
        trials = sum(t.role != "warm-up" for block in run.plan.blocks for t in block.trials)
        done = sum(isinstance(r, Generation) and r.trial.role != "warm-up" for r in run.results)
        targets = dict.fromkeys(c.target_label for c in run.plan.contenders)
        methods = dict.fromkeys(c.method for c in run.plan.contenders)
        rows.append(
            {
                "run": path.name,
                "trials": f"{done}/{trials}",
                "targets": ", ".join(targets),
                "methods": ", ".join(methods),
                "machine": run.machine.cpu,
            }
        )
    return rows
