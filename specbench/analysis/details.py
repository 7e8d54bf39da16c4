"""Below the rows of a comparison: single prompts, single steps, and what the machine showed while it worked."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles

from specbench.analysis.comparison import Comparison
from specbench.analysis.metrics import METRICS
from specbench.analysis.rows import Row
from specbench.analysis.stats import geometric_average
from specbench.analysis.telemetry import slowed
from specbench.records import Generation, Result, Step

_LEAST_STEPS = 20  # for a distribution
_BINS = 300  # of a timeline


@dataclass(frozen=True)
class Pair:
    """Speeds in tok/s on one prompt at one temperature and fill: of the baseline and of the method."""

    target: str
    label: str
    category: str
    temperature: float
    prompt: str
    baseline: float
    speed: float


@dataclass(frozen=True)
class Steps:
    """Seconds of verification steps of a contender: the percentiles 1 to 99. `phases`: shares, where they are known."""

    target: str
    label: str
    n: int
    percentiles: tuple[float, ...]
    phases: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Trace:
    """Means of one reading, in base units, at seconds since the first trial; `slowed` in which of them it was held."""

    device: str
    reading: str
    points: tuple[tuple[float, float], ...]
    slowed: tuple[float, ...]


@dataclass(frozen=True)
class Details:
    """Pairs by prompt, distributions of steps where they were recorded, and traces where there is telemetry."""

    pairs: tuple[Pair, ...]
    steps: tuple[Steps, ...]
    traces: tuple[Trace, ...]


def details(comparison: Comparison, results: Iterable[Result]) -> Details:
    """From the same records as the comparison. Rows without numbers have no pairs."""
    generations = [r for r in results if r.kind == "generation" and r.trial.role == "measured"]
    overall = {row.contender: row for row in comparison.overall}
    return Details(
        tuple(
            _pairs(
                overall,
                {(r.contender, r.category, r.temperature, r.fill) for r in comparison.rows if r.speedup},
                generations,
            )
        ),
        tuple(_steps(overall, generations)),
        tuple(_traces(generations)),
    )


def _pairs(
    overall: Mapping[str, Row], shown: set[tuple[str, str | None, float, int | None]], generations: Iterable[Generation]
) -> Iterable[Pair]:
    speeds: dict[tuple[str, str, float, int | None, str], list[float]] = defaultdict(list)
    for g in generations:
        if (row := overall.get(g.trial.contender)) and (parts := METRICS[row.decode_source].parts(g)):
            t = g.trial
            speeds[t.contender, t.category, t.temperature, t.fill, t.prompt].append(parts[0] / parts[1])
    for (name, category, temperature, fill, prompt), found in speeds.items():
        row = overall[name]
        base = speeds.get((row.baseline or "", category, temperature, fill, prompt))
        if base and (name, category, temperature, fill) in shown:
            where = (row.target, row.label, category, temperature, prompt)
            yield Pair(*where, geometric_average(base), geometric_average(found))


def _steps(overall: Mapping[str, Row], generations: Iterable[Generation]) -> Iterable[Steps]:
    steps: dict[str, list[Step]] = defaultdict(list)
    for g in generations:
        steps[g.trial.contender] += [step for step in g.steps or () if step.seconds > 0]
    for name, found in steps.items():
        if len(found) >= _LEAST_STEPS and name in overall:
            times = [step.seconds for step in found]
            yield Steps(
                overall[name].target,
                overall[name].label,
                len(found),
                tuple(quantiles(times, n=100, method="inclusive")),
                _phases(found, sum(times)),
            )


def _phases(steps: Iterable[Step], seconds: float) -> tuple[tuple[str, float], ...]:
    totals: dict[str, float] = {}
    for phase, share in (item for step in steps for item in (step.phases or {}).items()):
        totals[phase] = totals.get(phase, 0) + share / seconds
    return tuple((phase.replace("_", " "), share) for phase, share in totals.items())


def _traces(generations: Sequence[Generation]) -> Iterable[Trace]:
    points: dict[str, list[tuple[float, float]]] = defaultdict(list)
    held: dict[str, list[float]] = defaultdict(list)
    began = min((g.started for g in generations), default=0.0)
    for g in sorted(generations, key=lambda g: g.started):
        if g.telemetry is None:
            continue
        seconds = g.started - began
        for name, gauge in g.telemetry.gauges.items():
            points[name].append((seconds, gauge.total / gauge.count))
        for device, masks in g.telemetry.throttle.items():
            if any(slowed(mask) for mask in masks):
                held[device].append(seconds)
    for name, found in points.items():
        device, _, reading = name.partition(".")
        size = max(1, -(-len(found) // _BINS))
        bins = [found[i : i + size] for i in range(0, len(found), size)]
        means = tuple((b[0][0], sum(value for _, value in b) / len(b)) for b in bins)
        yield Trace(device, reading, means, tuple(held[device]))
