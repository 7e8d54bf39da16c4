"""Probing an engine: every setting of its methods at two values, in one short run."""

from pathlib import Path

from specbench import pipeline, store
from specbench.analysis.effects import Effect, effects
from specbench.engines import catalog
from specbench.engines.profile import choose
from specbench.errors import InputError
from specbench.pipeline import Observer, Outcome
from specbench.planning import probing as planning
from specbench.planning.contenders import BASELINE, label_of
from specbench.planning.runfile import RunFile
from specbench.records import Opening, Plan

SHORT = {
    "name": "probe",
    "categories": ("code", "json"),
    "prompts_per_category": 3,
    "output_tokens": 64,
    "temperatures": (0.0,),
    "control": False,
    "warmups": 0,
    "telemetry": False,
}


def plan(runfile: RunFile, *, engines: Path | None = None) -> Plan:
    """Few greedy prompts for each method that is possible. InputError when there is nothing to probe."""
    if len(runfile.engines) > 1 or any("+" in name for name in runfile.methods or ()):
        raise InputError("probe takes one engine, and methods one by one", hint="give one --engine and plain --methods")
    profiles = catalog.profiles(engines)
    profile = profiles[choose(runfile.engine_name, profiles, what="engine")]
    targets = tuple(t.model_copy(update={"temperatures": None}) for t in runfile.targets)
    short = runfile.model_copy(update={**SHORT, "targets": targets})
    methods: dict[str, list[str]] = {label_of(t): [] for t in targets}
    tried = {BASELINE}
    for c in pipeline.plan_run(short, engines=engines).contenders:  # each method once, on the first target that has it
        if c.method not in tried:
            tried.add(c.method)
            methods[c.target_label].append(c.method)
    return planning.merged(pipeline.plan_run(r, engines=engines) for r in planning.runfiles(short, profile, methods))


def probe(plan: Plan, *, results: Path, observe: Observer) -> tuple[Outcome, list[Effect], list[str]]:
    """Run the plan; what its settings did, and the builds of the engine that said it."""
    outcome = pipeline.start(plan, results=results, observe=observe)
    run = store.read(outcome.path)
    openings = [r for r in run.results if isinstance(r, Opening)]
    builds = {" ".join(filter(None, [o.engine_version, o.engine_commit])) for o in openings}
    return outcome, effects(run.plan, run.results), sorted(builds)
