"""Records in, conclusions out: every contender against its baseline, prompt by prompt."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from specbench.analysis import answers, checks, lossless, pairing, soundness, stats, steadiness, telemetry, until
from specbench.analysis.axes import Curve, curves
from specbench.analysis.checks import Note
from specbench.analysis.lossless import Lossless
from specbench.analysis.metrics import METRICS, acceptance_by_position
from specbench.analysis.pairing import Cell, Tallies
from specbench.analysis.rows import DecodeSource, Row, without_target
from specbench.analysis.verdicts import Verdict, verdicts
from specbench.analysis.why import Why, explain
from specbench.errors import InputError
from specbench.records import (
    Contender,
    Failure,
    Generation,
    Machine,
    Opening,
    Plan,
    Prompt,
    Result,
    Sampling,
    Setting,
    Skip,
)
from specbench.structs import replace


@dataclass(frozen=True)
class Target:
    """A target model that was compared; `note` says when it is not a model of real use."""

    label: str
    quant: str | None
    note: str | None
    family: str


@dataclass(frozen=True)
class Skipped:
    """A contender that was left out of the plan, did not run, or not to its end."""

    contender: str
    reason: str
    hint: str | None


@dataclass(frozen=True)
class Comparison:
    """All that follows from one run. `rows` are per category, `overall` over all categories of a contender."""

    name: str
    specbench_version: str
    targets: tuple[Target, ...]
    rows: tuple[Row, ...]
    overall: tuple[Row, ...]
    verdicts: tuple[Verdict, ...]
    why: tuple[Why, ...]
    curves: tuple[Curve, ...]
    notes: tuple[Note, ...]
    skipped: tuple[Skipped, ...]
    planned: int
    measured: int
    failed: int
    controls: int
    energy: str


@dataclass(frozen=True)
class _Recorded:
    """The trials of a run by what they are about; warm-ups are left out."""

    contenders: Mapping[str, Contender]
    labels: Mapping[str, str]
    sources: Mapping[str, DecodeSource]
    planned: Counter[Cell]
    failed: Counter[Cell]
    measured: Mapping[Cell, list[Generation]]
    controls: Mapping[Cell, list[Generation]]
    openings: Mapping[str, list[Opening]]
    sampling: Sampling
    parts: Mapping[Cell, tuple[int, int]]

    def baseline(self, cell: Cell) -> Cell | None:
        name = self.contenders[cell.contender].baseline
        return None if name is None else cell._replace(contender=name)

    def greedy_runs(self, cell: Cell) -> list[Generation]:
        """Measured runs first, then controls; empty for a sampled cell."""
        return [] if cell.temperature > 0 else [*self.measured.get(cell, ()), *self.controls.get(cell, ())]

    def of(self, contender: str) -> list[Generation]:
        return [g for cell, generations in self.measured.items() if cell.contender == contender for g in generations]


def compare(plan: Plan, results: Sequence[Result], *, machine: Machine | None = None) -> Comparison:
    """Conclusions from what was recorded."""
    recorded = _recorded(plan, results)
    cells = _in_order(plan, recorded)
    tallies: dict[Cell, Tallies] = {}
    for cell in sorted(cells, key=lambda c: recorded.baseline(c) is not None):  # baselines first
        base = recorded.baseline(cell)
        tallies[cell] = pairing.tallies(recorded.measured.get(cell, ()), tallies.get(base) if base else None)
    losses = _losslessness(cells, recorded)
    checked = _checked(cells, recorded, {p.id: p for p in plan.prompts})
    together: dict[tuple[str, float, str], list[Cell]] = defaultdict(list)
    for cell in cells:
        together[recorded.contenders[cell.contender].group, cell.temperature, cell.contender].append(cell)

    def row(group: Sequence[Cell], category: str | None) -> Row:
        return _row(group, category, recorded=recorded, tallies=tallies, losses=losses, checked=checked)

    rows = tuple(row([cell], cell.category) for cell in cells)
    overall = tuple(row(group, None) for group in together.values())
    return Comparison(
        name=plan.name,
        specbench_version=plan.specbench_version,
        targets=tuple(
            {
                c.group: Target(c.group, _quants(c.group, plan.contenders), c.target_note, c.family)
                for c in plan.contenders
            }.values()
        ),
        rows=rows,
        overall=overall,
        verdicts=verdicts(rows) + verdicts(overall),
        why=(*explain(rows), *explain(overall)),
        curves=curves(rows + overall, {c.target_label: c.target_quant for c in plan.contenders}),
        notes=checks.ordered(
            [*_notes(rows, overall, recorded, machine), *until.notes(plan, rows, results), *checks.of_replies(results)]
        ),
        skipped=(
            *(Skipped(name, reason, None) for name, reason in plan.left_out.items()),
            *dict.fromkeys(Skipped(r.contender, r.reason, r.hint) for r in results if isinstance(r, Skip)),
        ),
        planned=recorded.planned.total(),
        measured=sum(map(len, recorded.measured.values())),
        failed=recorded.failed.total(),
        controls=sum(map(len, recorded.controls.values())),
        energy=_energy(plan, results, recorded),
    )


def _energy(plan: Plan, results: Iterable[Result], recorded: _Recorded) -> str:
    idle = [r for r in results if r.kind == "telemetry"]
    if not idle or not idle[-1].meters:
        return telemetry.energy_in_words(plan.telemetry, idle[-1] if idle else None, ())
    decodes = [
        (g, METRICS[recorded.sources[g.trial.contender]].parts(g)) for gs in recorded.measured.values() for g in gs
    ]
    found = [telemetry.of_decode(g, decoded[1]) for g, decoded in decodes if decoded is not None]
    return telemetry.energy_in_words(plan.telemetry, idle[-1], found)


def _recorded(plan: Plan, results: Sequence[Result]) -> _Recorded:
    contenders = {c.name: c for c in plan.contenders}
    openings: dict[str, list[Opening]] = defaultdict(list)
    latest: dict[str, Generation | Failure] = {}
    for r in results:
        if r.kind == "generation" or (r.kind == "failure" and r.trial.id not in latest):
            latest[r.trial.id] = r  # a resumed run does a failed trial again
        elif r.kind == "opening":
            openings[r.contender].append(r)
    measured: dict[Cell, list[Generation]] = defaultdict(list)
    controls: dict[Cell, list[Generation]] = defaultdict(list)
    failed: Counter[Cell] = Counter()
    for record in latest.values():
        t = record.trial
        cell = Cell.of(t)
        if isinstance(record, Failure):
            failed[cell] += t.role == "measured"
        elif t.role != "warm-up":
            (measured if t.role == "measured" else controls)[cell].append(record)
    spared = until.spared(results)
    planned = Counter(
        Cell.of(t) for block in plan.blocks for t in block.trials if t.role == "measured" and t.id not in spared
    )
    named = {cell.contender for cell in (*measured, *controls, *failed, *planned)}
    if unknown := named.union(*([c.baseline] for c in plan.contenders if c.baseline is not None)) - contenders.keys():
        raise InputError(
            f"trials of unknown contender {min(unknown)!r}", hint="plan.json does not belong to these trials"
        )
    labels = {
        c.name: without_target(c.name, c.target_label).removesuffix(f" {c.family}")
        + (" (synthetic)" if c.synthetic else "")
        for c in plan.contenders
    }
    for name, method in _methods_seen(contenders, measured).items():
        contenders[name] = replace(contenders[name], method=method)
        labels[name] = f"{method} (observed)"
    return _Recorded(
        contenders=contenders,
        labels=labels,
        sources=_decode_sources(plan.contenders, measured),
        planned=planned,
        failed=failed,
        measured=measured,
        controls=controls,
        openings=openings,
        sampling=plan.sampling,
        parts=until.parts(plan),
    )


def _methods_seen(contenders: Mapping[str, Contender], measured: Mapping[Cell, list[Generation]]) -> dict[str, str]:
    """The method of a server that was attached to as having none, and in every trial shows one all the same."""
    seen: dict[str, set[Setting | None]] = defaultdict(set)
    for cell, generations in measured.items():
        chosen = contenders[cell.contender]
        if chosen.kind == "attach" and chosen.method == "none":
            seen[cell.contender] |= {g.observed.get("method") for g in generations}
    return {name: str(*shown) for name, shown in seen.items() if len(shown) == 1 and not shown & {"none", None}}


def _decode_sources(
    contenders: Sequence[Contender], measured: Mapping[Cell, list[Generation]]
) -> dict[str, DecodeSource]:
    """One clock for a baseline and all that is compared to it: the engine's, if every one of them shows it.

    Where any contender has several streams, all output of all streams by the wall clock, for everyone.
    """
    if any(c.streams > 1 for c in contenders):
        return {c.name: "output_throughput" for c in contenders}
    engine = METRICS["decode_engine"].parts
    timed: dict[str, bool] = defaultdict(bool)
    for cell, generations in measured.items():
        timed[cell.contender] |= any(engine(g) is not None for g in generations)
    families: dict[str, list[str]] = defaultdict(list)
    for c in contenders:
        families[c.baseline or c.name].append(c.name)
    return {
        name: "decode_engine" if all(timed.get(member, True) for member in members) else "decode_client"
        for members in families.values()
        for name in members
    }


def _in_order(plan: Plan, recorded: _Recorded) -> list[Cell]:
    """Cells as a table shows them: by target, temperature, category, fill and contender, all in the plan's order."""
    order = {name: i for i, name in enumerate(recorded.contenders)}
    targets = {label: i for i, label in enumerate(dict.fromkeys(c.group for c in plan.contenders))}
    categories = {category: i for i, category in enumerate(dict.fromkeys(p.category for p in plan.prompts))}

    def rank(c: Cell) -> tuple[int, float, int, int, int]:
        target = targets[recorded.contenders[c.contender].group]
        return target, c.temperature, categories.get(c.category, len(categories)), c.fill or 0, order[c.contender]

    return sorted(recorded.planned.keys() | recorded.measured.keys() | recorded.failed.keys(), key=rank)


def _losslessness(cells: Sequence[Cell], recorded: _Recorded) -> dict[Cell, Lossless | None]:
    runs: dict[str, list[Generation]] = defaultdict(list)
    for cell in cells:
        if recorded.baseline(cell) is None:
            runs[cell.contender] += recorded.greedy_runs(cell)
    floors = {name: lossless.floor(generations) for name, generations in runs.items()}
    losses: dict[Cell, Lossless | None] = {}
    for cell in cells:
        base = recorded.baseline(cell)
        contender = recorded.contenders[cell.contender]
        if contender.synthetic or (base is None and contender.method != "none"):
            losses[cell] = None  # its text is that of the dice; or there is nothing to compare it to
        elif base is None:
            losses[cell] = lossless.of_baseline(lossless.floor(recorded.greedy_runs(cell)))
        else:
            reference = lossless.references(recorded.measured.get(base, ()), recorded.controls.get(base, ()))
            outputs = recorded.measured.get(cell, ())
            here, everywhere = lossless.floor(recorded.greedy_runs(base)), floors.get(base.contender, lossless.Floor())
            quant = contender.target_quant
            losses[cell] = lossless.judge(outputs, reference, quant=quant, here=here, everywhere=everywhere)
    return losses


def _checked(cells: Iterable[Cell], recorded: _Recorded, prompts: Mapping[str, Prompt]) -> dict[Cell, tuple[int, int]]:
    """Answers that pass their check, and answers judged. Equal answers are judged once."""
    known: dict[tuple[str, str], bool | None] = {}
    found: dict[Cell, tuple[int, int]] = {}
    for cell in cells:
        passed = judged = 0
        for g in recorded.measured.get(cell, ()):
            prompt = prompts.get(g.trial.prompt)
            if (
                prompt is None
                or prompt.check is None
                or answers.cut(g)
                or recorded.contenders[cell.contender].synthetic
            ):
                continue
            if (prompt.id, g.text) not in known:
                known[prompt.id, g.text] = answers.judge(g.text, prompt)
            judged += known[prompt.id, g.text] is not None
            passed += known[prompt.id, g.text] is True
        found[cell] = passed, judged
    return found


def _quants(group: str, contenders: Sequence[Contender]) -> str | None:
    """Engines that read different formats can share a target in more than one."""
    found = dict.fromkeys(c.target_quant for c in contenders if c.group == group and c.target_quant is not None)
    return " and ".join(found) or None


def _row(
    group: Sequence[Cell],
    category: str | None,
    *,
    recorded: _Recorded,
    tallies: Mapping[Cell, Tallies],
    losses: Mapping[Cell, Lossless | None],
    checked: Mapping[Cell, tuple[int, int]],
) -> Row:
    """One row over a group of cells of one contender. Cells in which a method drafted nothing add no numbers.

    Nor do, beside others, those without a speedup, so that all figures of a row are of the same categories.
    """
    contender = recorded.contenders[group[0].contender]
    used = [cell for cell in group if _speculates(contender, recorded.measured.get(cell, ()))]
    source = recorded.sources[contender.name]
    shown = [cell for cell in used if any(source in t.ratios for t in tallies[cell].values())] or used
    generations = [g for cell in shown for g in recorded.measured.get(cell, ())]
    prompts = pairing.grouped({cell: tallies[cell] for cell in shown}, recorded.parts)
    steps_clock = "decode_engine" if source == "output_throughput" else source
    prefill = pairing.speedup("prefill", prompts)
    passed, judged = (sum(counts) for counts in zip(*(checked[cell] for cell in used), strict=True)) if used else (0, 0)
    trials = sum(len(recorded.measured.get(cell, ())) for cell in group)
    return Row(
        target=contender.group,
        target_label=contender.target_label,
        contender=contender.name,
        label=recorded.labels[contender.name],
        engine=contender.engine,
        method=contender.method,
        baseline=contender.baseline,
        synthetic=contender.synthetic,
        category=category,
        temperature=group[0].temperature,
        fill=group[0].fill if category is not None else None,
        categories=(len({c.category for c in shown if tallies[c]}), len({c.category for c in group})),
        prompts=len(prompts.groups)
        if used
        else len({g.trial.prompt for c in group for g in recorded.measured.get(c, ())}),
        trials=trials,
        planned=sum(recorded.planned[cell] for cell in group),
        failed=sum(recorded.failed[cell] for cell in group),
        speculating=bool(generations) or not trials,
        stop=_only({"fixed" if g.trial.ignore_eos else "natural" for g in generations}),
        decode_source=source,
        steps_source=_only({g.counts.sources.get("verification_steps") for g in generations}),
        verification_rule=_only({g.verification_rule for g in generations}),
        metrics={name: pairing.metric(name, prompts) for name in METRICS},
        accepted_by_position=acceptance_by_position(generations),
        speedup=pairing.speedup(source, prompts),
        bounded=(pairing.speedup if source == "output_throughput" else pairing.bounded)(source, prompts),
        end_to_end_speedup=pairing.speedup("end_to_end", prompts),
        round_cost=pairing.round_cost(steps_clock, prompts) if contender.method != "none" else None,
        prefill_cost=None if prefill is None else prefill.inverse(),
        lossless=lossless.merge(loss for cell in used if (loss := losses[cell]) is not None),
        checks_passed=passed,
        checks_judged=judged,
        axes={
            **contender.engine_settings,
            **contender.settings,
            "template": contender.template,
            "streams": contender.streams,
        },
        peak_memory=telemetry.peak(generations, "memory"),
        peak_device_memory=telemetry.peak(generations, "engine_memory"),
    )


def _speculates(contender: Contender, generations: Sequence[Generation]) -> bool:
    """Whether the method drafted, as far as is known: a chat server need not report it."""
    silent = contender.protocol == "openai" and all(g.counts.drafted is None for g in generations)
    return contender.method == "none" or not generations or silent or any(g.counts.drafted for g in generations)


def _only(values: set[str | None]) -> str | None:
    """The one value that all trials share, or `mixed`."""
    return (next(iter(values)) if len(values) == 1 else "mixed") if values else None


# ------------------------------------------------------------------------------------------------------------- notes


def _notes(rows: Iterable[Row], overall: Iterable[Row], recorded: _Recorded, machine: Machine | None) -> Iterator[Note]:
    by_category: dict[tuple[str, str], list[Generation]] = defaultdict(list)
    for cell, generations in recorded.measured.items():
        by_category[cell.contender, cell.category] += generations
    loops_known: dict[str, bool] = {}
    for (name, category), generations in by_category.items():
        yield from checks.of_category(recorded.contenders[name], category, generations, loops_known=loops_known)
    builds = {
        o.block: (o.engine_version, o.engine_commit, o.executable_sha256)
        for openings in recorded.openings.values()
        for o in openings
    }
    by_prompt = {
        name: _by_prompt(recorded.of(name))
        for name in {c.baseline for c in recorded.contenders.values() if c.baseline is not None}
    }
    for name, contender in recorded.contenders.items():
        generations = recorded.of(name)
        yield from checks.of_contender(contender, generations, recorded.openings.get(name, []), recorded.sampling)
        yield from telemetry.notes(name, generations)
        yield from steadiness.notes(name, generations)
        if contender.baseline is None:
            yield from checks.drifted(contender, _late_over_early(generations, recorded.sources[name]))
        else:
            baseline = recorded.contenders[contender.baseline]
            pairs = _nearest(generations, by_prompt[baseline.name])
            yield from checks.of_pair(contender, baseline, pairs, builds=builds)
            if not contender.synthetic:
                yield from soundness.notes(name, pairs)
    yield from checks.of_run(
        recorded.contenders.values(),
        (g for gs in recorded.measured.values() for g in gs),
        machine,
        environments=[o.environment for openings in recorded.openings.values() for o in openings],
    )
    for row in rows:
        yield from checks.of_row(row)
    for row in (*rows, *overall):
        yield from checks.of_bound(row)


_What = tuple[str, float, int | None]


def _what(g: Generation) -> _What:
    return g.trial.prompt, g.trial.temperature, g.trial.fill


def _by_prompt(generations: Iterable[Generation]) -> dict[_What, tuple[list[float], list[Generation]]]:
    """Trials with the times at which they began, in their order."""
    found: dict[_What, tuple[list[float], list[Generation]]] = {}
    for g in sorted(generations, key=attrgetter("started")):
        times, trials = found.setdefault(_what(g), ([], []))
        times.append(g.started)
        trials.append(g)
    return found


def _nearest(
    mine: Iterable[Generation], theirs: Mapping[_What, tuple[list[float], list[Generation]]]
) -> list[tuple[Generation, Generation]]:
    """Each trial with that of the baseline on the same prompt that began nearest to it."""
    pairs = []
    for g in mine:
        if (found := theirs.get(_what(g))) is not None:
            times, trials = found
            at = bisect_left(times, g.started)
            if at and (at == len(times) or g.started - times[at - 1] <= times[at] - g.started):
                at -= 1
            pairs.append((g, trials[at]))
    return pairs


def _late_over_early(generations: Iterable[Generation], source: DecodeSource) -> stats.Estimate | None:
    """Decode rate in the last repeat over that in the first, on the same prompts."""
    repeats: dict[tuple[str, float, int | None], dict[int, float]] = defaultdict(dict)
    for g in generations:
        parts = METRICS[source].parts(g)
        if parts is not None:
            repeats[g.trial.prompt, g.trial.temperature, g.trial.fill][g.trial.repeat] = parts[0] / parts[1]
    ratios = [rates[max(rates)] / rates[min(rates)] for rates in repeats.values() if len(rates) > 1]
    return stats.geometric_mean(ratios)
