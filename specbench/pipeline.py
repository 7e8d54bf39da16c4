"""The straight line: plan, execute, store, read back, compare. Nothing reaches a report except through disk."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import specbench
from specbench import datafiles, store
from specbench.analysis.comparison import Comparison, compare
from specbench.engines import catalog
from specbench.errors import InputError
from specbench.execution import BlockStarted, TrialStarted, execute
from specbench.hardware.detect import detect
from specbench.models import compatibility, gguf, micro
from specbench.models.facts import ModelFacts
from specbench.planning.plan import make_plan
from specbench.planning.runfile import RunFile, load_runfile
from specbench.planning.suites import Suite, parse_suite
from specbench.records import Generation, Plan, Result

Observer = Callable[[Result | BlockStarted | TrialStarted], None]


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its folder, the trials that were left, and why it stopped before them (None: it did not)."""

    path: Path
    remaining: int
    stopped: str | None


def default_runfile() -> RunFile:
    """The run of the embedded family: every method, every category, the small target and the ballast one."""
    return load_runfile(datafiles.path("micro/run.toml").read_text(encoding="utf-8"))


def find_suite(name: str) -> Suite:
    """A packaged suite by name, or the suite in a folder."""
    folder = Path(name)
    if not (folder / "suite.toml").is_file():
        known = sorted(p.parent.name for p in datafiles.path("suites").glob("*/suite.toml"))
        if name not in known:
            raise InputError(f"there is no suite {name!r}", hint=f"known: {', '.join(known)}; or give a folder")
        folder = datafiles.path(f"suites/{name}")
    return parse_suite(datafiles.texts(folder))


def plan_run(runfile: RunFile, *, engines: Path | None = None) -> Plan:
    """Resolve models, suite and engine profiles, check that they fit, and plan every trial."""
    runfile = _with_model_files(runfile)
    facts: dict[str, ModelFacts] = {}
    if runfile.url is None:
        for target in runfile.targets:
            for model in (target.model, target.draft_model):
                if model is not None and model not in facts:
                    facts[model] = gguf.read_facts(Path(model))
            if target.draft_model is not None:
                compatibility.require_same_vocabulary(Path(target.model), Path(target.draft_model))
    return make_plan(
        runfile,
        suite=find_suite(runfile.suite),
        profiles=catalog.profiles(engines),
        facts=facts,
        version=specbench.__version__,
    )


def _with_model_files(runfile: RunFile) -> RunFile:
    """Names of the embedded family become files; every other path becomes absolute, so that a run can be resumed."""

    def file_of(model: str | None) -> str | None:
        if model is None:
            return None
        if model in micro.NAMES:
            return str(micro.model_file(model, weights=datafiles.path("micro/weights"), cache=datafiles.cache_folder()))
        return str(Path(model).expanduser().absolute())

    targets = tuple(
        target.model_copy(
            update={
                "model": file_of(target.model),
                "draft_model": file_of(target.draft_model),
                "label": target.label or Path(target.model).stem,
            }
        )
        for target in runfile.targets
    )
    return runfile.model_copy(update={"targets": targets})


def start(plan: Plan, *, results: Path, observe: Observer, hostname: bool = False) -> Outcome:
    """Carry the plan out in a new run folder below `results`."""
    return _carry_out(store.create(results, plan, detect(hostname=hostname)), observe)


def resume(path: Path, *, observe: Observer) -> Outcome:
    """Carry out what a run has not done yet."""
    return _carry_out(store.resume(path), observe)


def _carry_out(folder: store.RunFolder, observe: Observer) -> Outcome:
    plan = folder.plan
    deadline = None if plan.budget is None else time.monotonic() + plan.budget
    planned = sum(trial.role != "warm-up" for block in plan.blocks for trial in block.trials)
    done = set(folder.done)
    with folder:
        try:
            for result in execute(plan, done=folder.done, logs=folder.logs, deadline=deadline):
                if not isinstance(result, BlockStarted | TrialStarted):
                    folder.append(result)
                if isinstance(result, Generation) and result.trial.role != "warm-up":
                    done.add(result.trial.id)
                observe(result)
        except KeyboardInterrupt:
            return Outcome(folder.path, planned - len(done), "interrupted")
    late = deadline is not None and time.monotonic() >= deadline and len(done) < planned
    return Outcome(folder.path, planned - len(done), "budget" if late else None)


def read(path: Path) -> tuple[store.Run, Comparison]:
    """A run from disk, and what follows from it."""
    run = store.read(path)
    return run, compare(run.plan, run.results, machine=run.machine)


def runs(results: Path) -> Iterator[Path]:
    """The run folders below `results`, oldest first."""
    return iter(sorted(path.parent for path in results.glob("*/plan.json")))


def plan_of(path: Path) -> Plan:
    """The plan of a run on disk."""
    return store.read(path).plan
