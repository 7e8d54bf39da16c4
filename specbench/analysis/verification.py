"""The verification-cost curve: a forward pass over k positions, in passes over one."""

from collections import defaultdict
from dataclasses import dataclass
from statistics import median

from specbench.analysis.stats import Estimate, ratio_of_medians
from specbench.measurements import HardwareMeasurement


@dataclass(frozen=True)
class Cost:
    """Of one pass over `positions` positions: median seconds, and how many passes over one position it costs."""

    positions: int
    seconds: float
    cost: Estimate
    requests: int
    spoilt: int

    @property
    def best_gain(self) -> float:
        """The most that speculation can win with such passes: every draft accepted, and drafting free."""
        return self.positions / self.cost.value


def curve(measured: HardwareMeasurement) -> tuple[Cost, ...]:
    """By the number of positions. Nothing is smoothed: a kernel that changes between 8 and 9 shows as a step."""
    passes: dict[int, list[float]] = defaultdict(list)
    spoilt: dict[int, int] = defaultdict(int)
    for point in measured.verification:
        passes[point.positions] += [seconds / point.passes for seconds in point.seconds]
        spoilt[point.positions] += point.spoilt
    plain = passes[1]
    return tuple(
        Cost(
            positions=positions,
            seconds=median(seconds),
            cost=Estimate(1.0, None, None, len(seconds))
            if positions == 1
            else ratio_of_medians(seconds, plain, seed=1),
            requests=len(seconds),
            spoilt=spoilt[positions],
        )
        for positions, seconds in sorted(passes.items())
        if seconds and plain
    )


def title(measured: HardwareMeasurement) -> str:
    """What was measured on what, in one line."""
    contender, opened = measured.contender, measured.opening
    build = opened.engine_commit or opened.engine_version or "unknown build"
    model = " ".join(filter(None, (contender.target_label, contender.target_quant)))
    return f"{model}, {contender.engine} {build}, {measured.fill} tokens of context, {measured.machine.cpu or 'CPU'}"
