"""The straight line: plan, execute, store, read back, compare. Nothing reaches a report except through disk."""

import os
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import specbench
from specbench import datafiles, remote, store
from specbench.analysis import until
from specbench.analysis.checks import HARMLESS
from specbench.analysis.comparison import Comparison, compare
from specbench.analysis.metrics import METRICS
from specbench.engines import catalog
from specbench.engines.profile import choose, needs
from specbench.errors import InputError
from specbench.execution import BlockStarted, Event, TrialStarted, execute
from specbench.hardware import telemetry
from specbench.hardware.detect import detect
from specbench.models import compatibility, discovery, micro, micro_folders, reference
from specbench.models.facts import ModelFacts
from specbench.planning.extent import Extent, extent
from specbench.planning.plan import make_plan
from specbench.planning.runfile import RunFile
from specbench.planning.suites import Suite, parse_suite
from specbench.records import Accelerator, Block, Contender, Enough, Failure, Generation, Plan, Result, Skip
from specbench.report.section import Section
from specbench.sharing import no_collection
from specbench.structs import replace

Observer = Callable[[Event | str], None]  # a sentence is news of the storage


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its folder, the trials that are left, and what stopped it before them (None: nothing).

    `warnings`: what was wrong with the folder when it was resumed, and what could not be sent to its URL (`unsent`).
    """

    path: Path
    remaining: int
    stopped: str | None
    warnings: tuple[str, ...]
    unsent: bool = False


def find_suite(name: str) -> Suite:
    """A packaged suite by name, or the suite in a folder."""
    folder = Path(name)
    if not (folder / "suite.toml").is_file():
        known = sorted(path.parent.name for path in datafiles.path("suites").glob("*/suite.toml"))
        if name not in known:
            raise InputError(f"there is no suite {name!r}", hint=f"known: {', '.join(known)}; or give a folder")
        folder = datafiles.path(f"suites/{name}")
    return parse_suite(datafiles.texts(folder))


def plan_run(
    runfile: RunFile,
    *,
    engines: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    home: Path | None = None,
) -> Plan:
    """Resolve models, suite and engine profiles, find drafters, check that they fit, and plan every trial."""
    home = home or Path.home()
    profiles = catalog.profiles(engines)
    chosen = [profiles[choose(name, profiles, what="engine")] for name in runfile.engines]
    resolved = with_model_files(runfile, environment, home, formats=tuple(dict.fromkeys(p.reads for p in chosen)))
    facts: dict[str, ModelFacts] = {}
    remarks: dict[str, str] = {}
    targets = []
    for target in resolved.targets:
        if runfile.url:
            break
        facts |= {model: reference.read_facts(Path(model)) for model in (target.model, *target.drafters)}
        compatibility.require_target(facts[target.model])
        for drafter in target.drafters:
            compatibility.require_fit(facts[target.model], facts[drafter])
        embedded = reference.is_embedded(Path(target.model))
        found = discovery.discover(
            Path(target.model),
            facts[target.model],
            beside=reference.folder(Path(target.model)),
            places=() if embedded else discovery.places(environment, home),
            kinds=set().union(*(needs(profile, target.methods or runfile.methods) for profile in chosen))
            if runfile.discover
            else (),
            given={facts[drafter].drafter or "draft-model": Path(drafter) for drafter in target.drafters},
        )
        facts |= {str(path): reference.read_facts(path) for path in found.drafters}
        targets.append(target.model_copy(update={"drafters": (*target.drafters, *map(str, found.drafters))}))
        prefix = f"{target.label} · " if len(runfile.targets) > 1 else ""
        remarks |= {prefix + name: remark for name, remark in found.remarks.items()}
    plan = make_plan(
        resolved.model_copy(update={"targets": tuple(targets) or resolved.targets}),
        suite=find_suite(runfile.suite),
        profiles=profiles,
        facts=facts,
        version=specbench.__version__,
    )
    files = dict.fromkeys(file for c in plan.contenders for file in (c.target_model, c.draft_model) if file in facts)
    return replace(
        plan, drafters_found=remarks, model_files={f: reference.fingerprint(Path(f)) for f in files if f is not None}
    )


def with_model_files(
    runfile: RunFile,
    environment: Mapping[str, str] = os.environ,
    home: Path | None = None,
    *,
    formats: Sequence[str] = ("gguf",),
) -> RunFile:
    """Names of models and programs become absolute paths, so that a run can be resumed.

    A target of the embedded family becomes one in each of the `formats` that it exists in.
    """

    def file_of(model: str, form: str) -> str:
        if runfile.url:
            return model
        return str(reference.find(model, environment=environment, home=home or Path.home(), form=form))

    def forms(model: str) -> Sequence[str]:
        if model not in micro.NAMES:
            return formats[:1]
        return [form for form in formats if form == "gguf" or model in micro_folders.NAMES] or formats

    def embedded(model: str) -> tuple[str, ...]:  # what is found beside a model is smaller in proportion
        return ("micro-draft",) if model in micro.NAMES and runfile.discover and not runfile.url else ()

    targets = [
        target.model_copy(
            update={
                "model": file_of(target.model, form),
                "drafters": tuple(file_of(drafter, form) for drafter in target.drafters or embedded(target.model)),
                "label": target.label or Path(target.model).name.removesuffix(".gguf"),
                "note": target.note or (micro.NAMES[target.model].note if target.model in micro.NAMES else None),
            }
        )
        for target in runfile.targets
        for form in forms(target.model)
    ]
    engines = [(name, program) for name, _, program in (text.partition("=") for text in runfile.engine)]
    absolute = [f"{name}={Path(program).expanduser().absolute()}" if program else name for name, program in engines]
    update: dict[str, object] = {"targets": tuple(targets), "engine": tuple(absolute)}
    if runfile.engine_path is not None:
        update["engine_path"] = str(Path(runfile.engine_path).expanduser().absolute())
    return runfile.model_copy(update=update)


_LOOKED_AT, _LISTED = 3, 100  # newest runs on this machine that an estimate is made from, of so many


def extent_of(plan: Plan, *, results: Path, estimated: bool) -> Extent:
    """The size of a plan; for a large one, or if `estimated`, with its time when the newest runs in `results` tell."""
    size = extent(plan)
    if not (size.large or estimated):
        return size
    here, found = detect(), []
    for path in store.runs(results)[: -_LISTED - 1 : -1]:
        with suppress(InputError):  # a run of an older version, or a damaged one, tells nothing
            if store.machine(path).same(here):
                run = store.read(path)
                found.append((run.plan, run.results))
        if len(found) == _LOOKED_AT:
            break
    return extent(plan, found)


def start(plan: Plan, *, results: Path, observe: Observer, hostname: bool = False) -> Outcome:
    """Carry the plan out in a new run folder below `results`."""
    with store.create(results, plan, detect(hostname=hostname, devices=True)) as folder:
        return carry_out(folder, observe=observe, deadline=deadline(plan.budget))


def resume(path: Path, *, observe: Observer, budget: float | None = None) -> Outcome:
    """Carry out what a run has not done yet, in a new budget of seconds (None: to the end); on its machine only."""
    with reopened(path) as folder:
        return carry_out(folder, observe=observe, deadline=deadline(budget))


@contextmanager
def reopened(path: Path) -> Iterator[store.RunFolder]:
    """A run to go on with. InputError on another machine, or with another model file than it was planned with."""
    there, here = store.read(path).machine, detect()
    if not there.same(here):
        raise InputError(
            f"{remote.shown(path)} was measured on another machine ({there.cpu}, {there.cores_logical} cores)",
            hint="resume it there, or start a new run here",
        )
    with store.resume(path) as folder:
        for file, fingerprint in folder.plan.model_files.items():
            if not (there_still := Path(file).exists()) or reference.fingerprint(Path(file)) != fingerprint:
                what = "is not the file that the run was planned with" if there_still else "is gone"
                raise InputError(f"{file} {what}", hint="put it back, or start a new run")
        yield folder


def deadline(budget: float | None) -> float | None:
    """When a budget of seconds that begins now is used up, on the monotonic clock."""
    return None if budget is None else time.monotonic() + budget


def carry_out(folder: store.RunFolder, *, observe: Observer, deadline: float | None) -> Outcome:
    """Carry out what the opened folder's plan has not done yet."""
    plan, left, interrupted = folder.plan, store.planned(folder.plan) - folder.done, False
    before, cards = earlier(plan, folder.path), store.machine(folder.path).accelerators
    try:
        found = measured(
            plan, before, done=folder.done, logs=folder.logs, clock=folder.clock, deadline=deadline, cards=cards
        )
        with closing(found) as events:
            for event in events:
                news = take_in(folder, left, event)
                observe(event)
                if news is not None:
                    observe(news)
    except KeyboardInterrupt:
        interrupted = True
    return outcome(folder, left, interrupted=interrupted, deadline=deadline)


def earlier(plan: Plan, path: Path) -> list[Result]:
    """What the run at `path` holds, for a plan whose course depends on it."""
    return store.read(path).results if plan.until is not None or any(p.after for p in plan.prompts) else []


def outcome(folder: store.RunFolder, left: set[str], *, interrupted: bool, deadline: float | None) -> Outcome:
    """How a run ended whose trials `left` are not done."""
    late = bool(left) and deadline is not None and time.monotonic() >= deadline
    stopped = "interrupted" if interrupted else "budget" if late else None
    unsent = () if folder.sending is None else folder.sending.flush()
    return Outcome(folder.path, len(left), stopped, (*folder.warnings, *unsent), unsent=bool(unsent))


def measured(
    plan: Plan,
    before: list[Result],
    *,
    done: Collection[str],
    logs: Path,
    clock: Callable[[], float],
    deadline: float | None,
    cards: Sequence[Accelerator],
    check: Callable[[Contender], Skip | None] = catalog.check_available,
) -> Generator[Event]:
    """What happens when the plan is carried out here. `before`: earlier results, as `earlier` finds them; it grows."""

    def enough(block: Block) -> Iterator[Enough]:
        return until.enough(plan, block, before)

    watched = telemetry.opened(cards) if plan.telemetry else nullcontext()
    with watched as sampler:
        if sampler is not None and not store.planned(plan).issubset(done):
            yield sampler.idle(clock=clock)
        found = execute(
            plan,
            done=done,
            logs=logs,
            check=check,
            clock=clock,
            deadline=deadline,
            sampler=sampler,
            enough=enough,
            before=before,
        )
        with closing(found) as events:
            for event in events:
                if isinstance(event, Generation | Skip):
                    before.append(event)
                yield event


def take_in(folder: store.RunFolder, left: set[str], event: Event) -> str | None:
    """Write what was measured to the folder, and cross it out of what is left; news of its storage."""
    if isinstance(event, BlockStarted | TrialStarted):
        return None
    folder.append(event)
    if isinstance(event, Generation):
        left.discard(event.trial.id)
    elif isinstance(event, Enough):
        left.difference_update(event.trials)
    return None if folder.sending is None else folder.sending.trouble()


def read(path: Path) -> tuple[store.Run, Comparison]:
    """A run from disk, and what follows from it."""
    with no_collection():
        run = store.read(path)
        return run, compare(run.plan, run.results, machine=run.machine)


def write_page(run: store.Run, comparison: Comparison, path: Path, *, others: Sequence[Section] = ()) -> None:
    """The report, with what `others` measured, as one HTML file; InputError when it cannot be written."""
    from specbench.report.page import page  # noqa: PLC0415  most commands draw nothing

    write(path, page(comparison, run.plan, run.machine, run.results, others=others).encode())


def write_charts(run: store.Run, comparison: Comparison, folder: Path) -> None:
    """Every chart as PNG and SVG in a folder, which is made if need be."""
    from specbench.report.page import pictures  # noqa: PLC0415

    for name, content in pictures(comparison, run.machine, run.results):
        write(folder / name, content)


def write(path: Path, content: bytes) -> None:
    """A file, with its folder; InputError when that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        remote.send(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}", hint="choose another place") from error


def exit_status(outcome: Outcome, run: store.Run, comparison: Comparison, *, strict: bool) -> int:
    """0 done, 1 some trials failed or were skipped, or a note under `strict`, 3 nothing could run here, 4 all failed.

    130 when interrupted. A budget that was too short for a single trial is 1.
    """
    if outcome.stopped == "interrupted":
        return 130
    trials = [r for r in run.results if isinstance(r, Generation | Failure) and r.trial.role != "warm-up"]
    failed = any(isinstance(result, Failure) for result in trials)
    skipped = any(isinstance(result, Skip) for result in run.results)
    if not any(isinstance(result, Generation) for result in trials):
        return 4 if failed else 3 if skipped else 1
    doubted = strict and any(note.code not in HARMLESS for note in comparison.notes)
    return int(failed or skipped or doubted or outcome.unsent)


@dataclass
class Tally:
    """The running result of one contender, by the same definitions as the report's."""

    trials: int = 0
    decode: tuple[float, float] = (0.0, 0.0)
    accepted: tuple[float, float] = (0.0, 0.0)

    def add(self, result: Generation | Failure) -> None:
        """Take a result in; warm-ups do not count."""
        if result.trial.role == "warm-up":
            return
        self.trials += 1
        if isinstance(result, Generation):
            for name, metric in (("decode", "decode_engine"), ("accepted", "draft_acceptance_rate")):
                if (parts := METRICS[metric].parts(result)) is not None:
                    above, below = getattr(self, name)
                    setattr(self, name, (above + parts[0], below + parts[1]))

    def decode_speed(self) -> float | None:
        """Decode tok/s so far."""
        return self.decode[0] / self.decode[1] if self.decode[1] else None

    def acceptance(self) -> float | None:
        """Share of drafted tokens that were accepted so far."""
        return self.accepted[0] / self.accepted[1] if self.accepted[1] else None
