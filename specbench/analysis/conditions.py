"""What runs that are compared must share, and what else differs between them."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Literal, get_args

from specbench.records import Contender, Generation, Machine, Opening, Plan, Reply, Result, Setting
from specbench.structs import to_json

Kind = Literal["machine", "engine", "target", "prompts", "settings"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_VARYING = frozenset({"cores_quota", "idle_seconds"})


@dataclass(frozen=True)
class Measured:
    """A run as it is compared: what was planned, where, and what was recorded."""

    name: str
    plan: Plan
    machine: Machine
    results: Sequence[Result]


@dataclass(frozen=True)
class Difference:
    """`kind` is None for what may differ: driver, clocks, build, flags. A side without the fact has `—`."""

    kind: Kind | None
    what: str
    base: str
    new: str


def fingerprint(machine: Machine) -> str:
    """The same for machines whose figures can be compared."""
    return hashlib.sha256(repr(machine.identity()).encode()).hexdigest()[:12]


def differences(
    base: Sequence[Measured], new: Sequence[Measured], *, called: Callable[[Contender], str] = attrgetter("name")
) -> list[Difference]:
    """What the sides do not share, first what they must; also a fact in which the runs of one side differ.

    `called` says which contenders are the same: by default those of one name.
    """
    everyone = [*base, *new]
    contenders = set.intersection(*({called(c) for c in run.plan.contenders} for run in everyone))
    prompts = set.intersection(*({p.id for p in run.plan.prompts} for run in everyone))
    sides: list[dict[tuple[Kind | None, str], set[str]]] = []
    for side in (base, new):
        found: dict[tuple[Kind | None, str], set[str]] = defaultdict(set)
        for run in side:
            for kind, what, value in (
                *_required(run, contenders, prompts, called),
                *_environment(run, contenders, called),
            ):
                found[kind, what].add(str(value))
        sides.append(found)
    listed = []
    for kind, what in sorted(sides[0].keys() | sides[1].keys(), key=lambda key: (key[0] is None, key[0] or "", key[1])):
        one, other = (side.get((kind, what), set()) for side in sides)
        if one != other or (kind is not None and len(one) > 1):
            listed.append(Difference(kind, what, _shown(one, other), _shown(other, one)))
    return [*listed, *_rendered(base, new)]


def _shown(mine: set[str], theirs: set[str]) -> str:
    return ", ".join(sorted(mine - theirs or mine)) or "—"


_Called = Callable[[Contender], str]


def _required(
    run: Measured, contenders: set[str], prompts: set[str], called: _Called
) -> Iterator[tuple[Kind, str, object]]:
    machine = run.machine
    yield "machine", "processor", f"{machine.cpu}, {machine.cores_logical} cores"
    for number, card in enumerate(machine.accelerators):
        yield "machine", f"accelerator {number}", " ".join(str(part) for part in (card.name, *card.identity()) if part)
    for c in run.plan.contenders:
        if (name := called(c)) in contenders:
            yield "engine", f"engine of {name}", c.engine
            yield "target", f"target of {name}", f"{c.target_label} {c.target_quant or ''}".strip()
            asked: dict[str, Setting] = {
                **c.engine_settings,
                **c.settings,
                "template": c.template,
                "streams": c.streams,
            }
            yield "settings", f"draft model of {name}", c.draft_label
            yield "settings", f"settings of {name}", " ".join(f"{key}={asked[key]}" for key in sorted(asked))
    for p in run.plan.prompts:
        if p.id in prompts and p.id != "warm-up":
            yield "prompts", f"text of {p.id}", hashlib.sha256(to_json(p)).hexdigest()[:8]
    yield "settings", "sampling", run.plan.sampling
    yield "settings", "thinking", run.plan.thinking
    asked_for = {
        (t.category, t.prompt, t.output_tokens, t.ignore_eos)
        for block in run.plan.blocks
        for t in block.trials
        if t.role == "measured"
    }
    for category, prompt, output_tokens, ignore_eos in asked_for:
        yield "settings", f"output tokens of {category}", output_tokens
        if prompt in prompts:  # constrained ones end by themselves, also among others of their category
            yield "settings", f"answers to {prompt}", "of fixed length" if ignore_eos else "end by themselves"


def _environment(run: Measured, contenders: set[str], called: _Called) -> Iterator[tuple[None, str, object]]:
    names = {c.name: called(c) for c in run.plan.contenders}
    machine = run.machine
    plain = {"system": f"{machine.system} {machine.release}", "Python": machine.python, "memory": machine.memory}
    cards = {
        f"accelerator {number} {key}": value
        for number, card in enumerate(machine.accelerators)
        for key, value in card.readings.items()
    }
    found = {**plain, **machine.readings, **machine.environment, **cards, "specbench": run.plan.specbench_version}
    found["answers before later turns (SHA-256)"] = _answers(run)
    for what, value in found.items():
        if value is not None and what not in _VARYING:
            yield None, what, value
    for r in run.results:
        if isinstance(r, Opening) and names.get(r.contender) in contenders:
            told = {
                "engine version": r.engine_version,
                "engine commit": r.engine_commit,
                "engine program (SHA-256)": r.executable_sha256 and r.executable_sha256[:12],
                "chat template (SHA-256)": r.chat_template_sha256 and r.chat_template_sha256[:12],
                "context": r.context_size,
                **{f"engine environment {key}": value for key, value in r.environment.items()},
            }
            for what, value in told.items():
                if value is not None:
                    yield None, what, value
    for c in run.plan.contenders:
        if names[c.name] in contenders:
            for word in c.argv:
                yield None, f"flags of {names[c.name]}", word.rpartition("/")[2] if word.startswith("/") else word


def _rendered(base: Sequence[Measured], new: Sequence[Measured]) -> Iterator[Difference]:
    """Whether the engines got the same text for the same prompts: a chat template can hold the date."""
    sides: list[dict[tuple[str, str, int | None], set[str]]] = []
    for side in (base, new):
        found = defaultdict(set)
        for run in side:
            later = {p.id for p in run.plan.prompts if p.after}  # `_answers` tells of these
            for contender, prompt, fill, text in {
                (r.trial.contender, r.trial.prompt, r.trial.fill, r.prompt_sha256)
                for r in run.results
                if isinstance(r, Generation) and r.trial.role == "measured"
            }:
                if prompt not in later:
                    found[contender, prompt, fill].add(text)
        sides.append(found)
    shared = sides[0].keys() & sides[1].keys()
    if other := sorted((key for key in shared if sides[0][key] != sides[1][key]), key=str):
        marks = (hashlib.sha256(repr([sorted(side[key]) for key in other]).encode()).hexdigest()[:12] for side in sides)
        count, of = (len({prompt for _, prompt, _ in keys}) for keys in (other, shared))
        yield Difference(None, f"text of {count} of {of} prompts as the engine got it (SHA-256)", *marks)


def _answers(run: Measured) -> str | None:
    """Of all that stand before later turns; turns with other ones are not compared (`sides.trials_by_place`)."""
    said = sorted({(r.target, r.answer.trial.prompt, r.answer.text) for r in run.results if isinstance(r, Reply)})
    return hashlib.sha256(repr(said).encode()).hexdigest()[:12] if said else None


def same_output(base: Sequence[Measured], new: Sequence[Measured]) -> tuple[int, int]:
    """Greedy outputs for the same text, in the first run of each side, that are the same, and how many there are."""
    mine, theirs = (
        {
            r.trial.id: r
            for r in side[0].results
            if isinstance(r, Generation)
            and r.output_ids is not None
            and r.trial.temperature == 0
            and r.trial.role == "measured"
        }
        for side in (base, new)
    )
    pairs = [(theirs[id_], r) for id_, r in mine.items() if id_ in theirs]
    alike = [a.output_ids == b.output_ids for a, b in pairs if a.prompt_sha256 == b.prompt_sha256]
    return sum(alike), len(alike)
