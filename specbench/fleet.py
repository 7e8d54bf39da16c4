"""One plan on many machines: Ray carries it there, runs one trial at a time on each, and brings back what it measured.

Each node has one task, which takes all CPUs and accelerators that Ray knows of it. What it measures streams here and is
written at once. Different machines have a run folder each, since only figures of one machine are compared.
"""

import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import specbench
from specbench import pipeline, store
from specbench.engines import catalog
from specbench.errors import InputError, SpecbenchError, UnavailableError
from specbench.execution import BlockStarted, Event
from specbench.hardware.detect import detect
from specbench.models import reference
from specbench.planning import fleetfile, placement
from specbench.planning.fleetfile import Condition, FleetFile
from specbench.planning.placement import Node, Unit
from specbench.records import Generation, Plan, Reply, Result, Skip
from specbench.structs import from_json, replace, to_json

_PATIENCE = 120.0  # seconds that a node has to say what it is; a busy one says nothing
_LOOK = 2.0  # seconds between looks at which nodes Ray takes for dead
_FAREWELL = 30.0  # for engines to end when a run is stopped
_LOSSES = 2  # of machines while a unit ran there, after which it is not tried again
_STORE = 2**27  # bytes of a cluster that is started here; records are small
_ADDRESS = "is it running (`ray status`)? give HOST:PORT of its head, `auto` on one of its nodes, or `local`"
_BACK = "when such a machine is back: specbench run --fleet ADDRESS --resume RUN"

Observer = Callable[[str, Event | str], None]  # the node's name, and what happened there, why it is lost, or news


@contextmanager
def joined(address: str) -> Iterator[Any]:
    """The module ray, connected to the cluster at `address`, or to one that is started here for `local`."""
    try:
        import ray  # noqa: PLC0415  an extra, and slow to load
    except ImportError as error:
        raise UnavailableError("ray is not installed", hint="pip install 'specbench[fleet]'") from error
    except KeyError as error:  # it imports the package amdsmi, which fails so without its library
        raise UnavailableError("ray cannot load amdsmi", hint="pip uninstall amdsmi, or install ROCm") from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to Ray's makers
    own = {"include_dashboard": False, "object_store_memory": _STORE} if address == "local" else {}
    try:
        if address not in ("local", "auto"):  # Ray itself waits for long
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **own)
    except (OSError, OverflowError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise UnavailableError(f"there is no Ray cluster at {address}: {_line(error)}", hint=_ADDRESS) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _line(error: Exception) -> str:
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)


def nodes(
    ray: Any, plan: Plan, *, file: FleetFile, on: tuple[Condition, ...], hostname: bool
) -> tuple[list[Node], dict[str, str]]:
    """The nodes that can measure, and why each other one cannot. UnavailableError when none can."""
    whole, task, asked, found = ray.put(to_json(plan)), ray.remote(ask), {}, []
    for node in ray.nodes():
        amounts = {k: amount for k, amount in node["Resources"].items() if ":" not in k and "memory" not in k}
        if node["Alive"] and amounts.get("CPU", 0) >= 1:
            one = {"id": node["NodeID"], "name": node["NodeName"], "resources": amounts}
            there = task.options(**_all_of(ray, node["NodeID"], amounts))
            asked[there.remote(specbench.__version__, whole, file, on, one, hostname=hostname)] = node["NodeName"]
    if asked:
        ray.wait(list(asked), num_returns=len(asked), timeout=_PATIENCE)
    left_out = {}
    for answer, name in asked.items():
        try:
            told: Node | str = ray.get(answer, timeout=0)
        except ray.exceptions.GetTimeoutError:
            ray.cancel(answer, force=True)
            told = f"it is busy, or did not answer in {_PATIENCE:g} s"
        except ray.exceptions.RayError as error:
            told = _line(error)
        if isinstance(told, str):
            left_out[name] = told
        else:
            found.append(told)
    if not found:
        why = "; ".join(f"{name}: {reason}" for name, reason in sorted(left_out.items())) or "Ray has no CPU on any"
        raise UnavailableError(f"no node of the fleet can measure: {why}", hint="change --on, or start other nodes")
    return sorted(found, key=lambda node: node.name), left_out


def _all_of(ray: Any, node: str, amounts: Mapping[str, float]) -> dict[str, Any]:
    """Options of a task that takes all that Ray knows of one node, and is not tried elsewhere."""
    return {
        "num_cpus": amounts["CPU"],
        "num_gpus": amounts.get("GPU", 0),
        "resources": {name: amount for name, amount in amounts.items() if name not in ("CPU", "GPU")},
        "scheduling_strategy": ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False),
        "max_retries": 0,
    }


# --------------------------------------------------------------------------------------------- what runs on a node


def ask(
    version: str, plan: bytes, file: FleetFile, on: tuple[Condition, ...], one: dict[str, Any], *, hostname: bool
) -> Node | str:
    """This machine with what it can run of the plan, or why it is not asked to."""
    if version != specbench.__version__:
        return f"it has specbench {specbench.__version__}, not {version}"
    machine, wanted = detect(hostname=hostname, devices=True), from_json(Plan, plan)
    resources = {f"resource.{name}": amount for name, amount in one["resources"].items()}
    facts = fleetfile.facts(machine, node=one["name"], **resources)
    own, files, faults = file.at(facts), {}, {}
    for model, fingerprint in wanted.model_files.items():
        try:
            files[model] = str(_model(model, own.models, fingerprint))
        except (SpecbenchError, OSError) as error:
            faults[model] = str(error)
    contenders = tuple(placement.started_there(c, programs=own.engines, files=files) for c in wanted.contenders)
    lacks = {}
    for planned, c in zip(wanted.contenders, contenders, strict=True):
        fault = faults.get(planned.target_model) or faults.get(planned.draft_model or "")
        hint = "put it there, or say in a fleet file where it lies"
        skip = Skip(contender=c.name, block=None, reason=fault, hint=hint) if fault else catalog.check_available(c)
        if skip is not None:
            lacks[c.name] = skip
    engines = tuple(dict.fromkeys(c.engine for c in contenders if c.name not in lacks))
    reason = fleetfile.unmet(on, {**facts, "engine": engines})
    return reason or Node(**one, machine=machine, contenders=contenders, lacks=lacks)


def _model(model: str, places: Mapping[str, str], fingerprint: str) -> Path:
    """Where a model of the plan lies on this machine. InputError when there is none, or another one."""
    asked = places.get(model) or places.get(Path(model).name)
    found = reference.find(asked or model, environment=os.environ, home=Path.home())
    if asked is None and not found.exists():
        found = reference.embedded_file(found.name) or found
    if not found.exists() or reference.fingerprint(found) != fingerprint:
        what = "not the file that was planned with" if found.exists() else "not there"
        raise InputError(f"{found} is {what}", hint="")
    return found


def measure(plan: bytes, node: Node, before: list[Result], *, left: set[str], end: float | None) -> Iterator[Event]:
    """What happens when the trials `left` run here, up to the `end` (seconds since 1970): work waits for its node."""
    here = replace(from_json(Plan, plan), contenders=node.contenders)
    done = store.planned(here) - left
    lacks, cards = node.lacks, node.machine.accelerators
    deadline = pipeline.deadline(None if end is None else end - time.time())
    with TemporaryDirectory(prefix="specbench-") as logs:
        yield from pipeline.measured(
            here,
            before,
            done=done,
            logs=Path(logs),
            clock=store.steady(max((r.started for r in before if isinstance(r, Generation)), default=0.0)),
            deadline=deadline,
            cards=cards,
            check=lambda c: lacks.get(c.name),
        )


# ------------------------------------------------------------------------------------------- what runs where it began


@dataclass
class _Run:
    """A run folder that machines measure which are the same. `plan`: Ray's copy.

    `begun`: the block that began last on a node, by its id. `losses`: machines that were lost while units ran there.
    """

    folder: store.RunFolder
    nodes: list[Node]
    plan: Any
    before: list[Result]
    left: set[str]
    begun: dict[str, int] = field(default_factory=dict)
    losses: Counter[Unit] = field(default_factory=Counter)

    def send(self, ray: Any, units: Iterable[Unit], deadline: float | None, others: "_Going") -> "_Going":
        """Give units to the nodes, beside what `others` measure; of each that gets some, what happens there."""
        blocks, task, going = self.folder.plan.blocks, ray.remote(measure), {}
        busy = [(node.id, unit) for _, node, units in others.values() for unit in units]
        end = None if deadline is None else time.time() + deadline - time.monotonic()
        for node, mine in placement.place(self.folder.plan, units, self.nodes, left=self.left, busy=busy):
            indices = {index for unit in mine for index in unit}
            left = {t.id for index in indices for t in blocks[index].trials} & self.left
            before = [
                r for r in self.before if isinstance(r, Reply) or (isinstance(r, Generation) and r.block in indices)
            ]
            there = task.options(num_returns="streaming", **_all_of(ray, node.id, node.resources))
            going[there.remote(self.plan, node, before, left=left, end=end)] = self, node, mine
        return going

    def take(self, event: Event, node: Node) -> str | None:
        """Write what happened on a node; news of the storage."""
        if isinstance(event, BlockStarted):
            self.begun[node.id] = event.block.index
        if isinstance(event, Reply) or (isinstance(event, Generation) and self.folder.plan.until is not None):
            self.before.append(event)
        return pipeline.take_in(self.folder, self.left, event)

    def lose(self, node: Node, units: Sequence[Unit], reason: str) -> tuple[list[Unit], list[Event]]:
        """What machines that are the same can go on with, and a skip for what is left of each other block."""
        self.nodes = [other for other in self.nodes if other.id != node.id]
        blamed = self.begun.get(node.id, min(units)[0])  # where nothing began, what was to be first
        self.losses.update(unit for unit in units if blamed in unit)
        again = [unit for unit in units if self.nodes and self.losses[unit] < _LOSSES]
        blocks = [self.folder.plan.blocks[index] for unit in units if unit not in again for index in unit]
        open_ = [block for block in blocks if self.left.intersection(t.id for t in block.trials)]
        return again, [Skip(contender=b.contender, block=b.index, reason=reason, hint=_BACK) for b in open_]


_Going = dict[Any, tuple[_Run, Node, list[Unit]]]  # by Ray's stream


def carry_out(
    ray: Any,
    plan: Plan,
    path: Path | None,
    found: Iterable[Node],
    *,
    results: Path,
    observe: Observer,
    budget: float | None,
) -> list[pipeline.Outcome]:
    """The plan on every different machine of the fleet, in a new run folder each; or what the run at `path` left."""
    kinds = placement.kinds(found)
    if path is None:
        plan = placement.apart(plan)
    elif not (kinds := [kind for kind in kinds if kind[0].machine.same(store.machine(path))]):
        what = f"no node of the fleet is the machine that {path} was measured on"
        raise UnavailableError(what, hint="start one of that kind, or start a new run")
    whole, runs = ray.put(to_json(plan)), []
    before = [] if path is None else pipeline.earlier(plan, path)
    with ExitStack() as stack:
        for number, kind in enumerate(kinds, 1):
            name = plan.name if len(kinds) == 1 else f"{plan.name}-machine-{number}"
            opened = store.resume(path) if path else store.create(results, plan, kind[0].machine, name=name)
            folder = stack.enter_context(opened)
            runs.append(_Run(folder, kind, whole, list(before), store.planned(plan) - folder.done))
        deadline = pipeline.deadline(budget)
        interrupted = _follow(ray, runs, observe=observe, deadline=deadline)
        return [pipeline.outcome(run.folder, run.left, interrupted=interrupted, deadline=deadline) for run in runs]


def _follow(ray: Any, runs: Sequence[_Run], *, observe: Observer, deadline: float | None) -> bool:
    """Take in what happens on all nodes until nothing more does; whether that was an interruption."""
    going: _Going = {}
    try:
        for run in runs:
            going |= run.send(ray, placement.units(run.folder.plan), deadline, going)
        while going:
            for stream, told in _news(ray, going):
                run, node, units = going[stream]
                events = [] if told is None or isinstance(told, str) else [told]
                if not events:
                    del going[stream]
                if isinstance(told, str):
                    observe(node.name, reason := f"node {node.name} was lost: {told}")
                    again, events = run.lose(node, units, reason)
                    going |= run.send(ray, again, deadline, going)
                for event in events:
                    observe(node.name, event)
                    if (news := run.take(event, node)) is not None:
                        observe("", news)
    except KeyboardInterrupt:
        for stream in going:
            ray.cancel(stream)  # a KeyboardInterrupt there: the engine is closed
        ray.wait([stream.completed() for stream in going], num_returns=len(going), timeout=_FAREWELL)
        return True
    return False


def _news(ray: Any, going: _Going) -> Iterator[tuple[Any, Event | str | None]]:
    """What happened next on nodes; None at the end of a node's work, a sentence when it is lost.

    The stream of a node that is paused or cut off waits for minutes after Ray has taken the node for dead.
    """
    ray.wait(list(going), num_returns=1, timeout=_LOOK)
    ready, waiting = ray.wait(list(going), num_returns=len(going), timeout=0)
    dead = {node["NodeID"] for node in ray.nodes() if not node["Alive"]}
    for stream in ready:
        try:
            yield stream, ray.get(next(stream))
        except StopIteration:
            yield stream, None
        except ray.exceptions.RayError as error:
            yield stream, _line(error)
    for stream in waiting:
        if going[stream][1].id in dead:
            yield stream, "Ray no longer hears of it"
