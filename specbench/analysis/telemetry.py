"""What telemetry says: joules of a decode or why there are none, peaks, and what disturbed the machine."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from specbench.analysis.checks import Note, note
from specbench.records import Generation, Meter, Telemetry
from specbench.units import significant

LEAST = 10  # updates of a reading within a decode; each end is off by up to one
_LATE = 0.2  # seconds, two readings: a last look follows every answer
_MOST_WATTS = 5e3
_CAPPED = 0x4  # NVML: software power cap
_SLOWED = 0x8 | 0x20 | 0x40 | 0x80  # NVML: slowdown by heat or by the power supply
_SHARE = 0.01  # of the readings
_BUSY, _LOW_CLOCK = 0.9, 0.5
_SCOPES = {"gpu": "GPU", "package": "CPU package"}
_KINDS = {"energy": "energy counter", "power": "integral of the power readings"}


def curve(meter: Meter) -> list[tuple[float, float]] | None:
    """Seconds and joules since the first reading; None when the counter was set back in between."""
    joules = 0.0
    found = [(meter.points[0][0], joules)]
    for (before, old), (now, new) in pairwise(meter.points):
        if meter.kind == "power":
            joules += (old + new) / 2 * (now - before)
        else:
            step = new - old if new >= old else new - old + (meter.wrap or 0)
            if not 0 <= step <= _MOST_WATTS * (now - before + 1):
                return None
            joules += step
        found.append((now, joules))
    return found


def slowed(mask: int) -> bool:
    """Whether a card's mask of clock reasons says that heat or its power supply held it back."""
    return bool(mask & _SLOWED)


def joules(telemetry: Telemetry, start: float, end: float) -> float | str:
    """What all devices with a meter used from `start` to `end`, or why that is not known."""
    total = 0.0
    for name, meter in telemetry.meters.items():
        points = curve(meter)
        if points is None:
            return f"the energy counter of {name} was set back"
        if sum(b > a and start < seconds <= end for (_, a), (seconds, b) in pairwise(points)) < LEAST:
            return f"shorter than {LEAST} updates of the energy reading"
        if points[-1][0] < end - _LATE:
            return f"{name} did not answer to the end"
        total += _at(points, end) - _at(points, start)
    return total if telemetry.meters else "nothing to measure it with"


def _at(points: Sequence[tuple[float, float]], seconds: float) -> float:
    index = min(max(bisect_left(points, (seconds, 0.0)), 1), len(points) - 1)
    (before, low), (after, high) = points[index - 1 : index + 1]
    return low + (high - low) * (min(max(seconds, before), after) - before) / (after - before or 1)


def of_decode(g: Generation, seconds: float) -> float | str:
    """Joules of the last `seconds` before the last token."""
    end = g.total if g.total is not None else g.last_token
    if g.telemetry is None or g.asked is None or end is None:
        return "no telemetry"
    return joules(g.telemetry, g.asked + end - seconds, g.asked + end)


def peak(generations: Sequence[Generation], reading: str) -> float | None:
    """The highest value in any of the trials, over all devices that have that reading."""
    highs = [
        sum(found)
        for g in generations
        if g.telemetry and (found := [v.high for key, v in g.telemetry.gauges.items() if key.endswith(f".{reading}")])
    ]
    return max(highs, default=None)


def energy_in_words(asked: bool, idle: Telemetry | None, found: Sequence[float | str]) -> str:  # noqa: FBT001  a fact
    """What J/token is of and how it was measured, or why there is none. `found` are the joules of the trials."""
    if not asked or idle is None:
        return f"no energy: {'telemetry is not on disk' if asked else 'telemetry was switched off'}"
    lacking = [why for key, why in idle.reasons.items() if key.endswith(".energy")]
    reasons = Counter(why for why in found if isinstance(why, str))
    if not idle.meters:
        return f"no energy: {'; '.join(lacking)}"
    if found and reasons.total() == len(found):
        return f"no energy: every decode is {'; '.join(reasons)}"
    scopes = " and ".join(dict.fromkeys(_SCOPES[m.scope] for m in idle.meters.values()))
    kinds = " and ".join(dict.fromkeys(_KINDS[m.kind] for m in idle.meters.values()))
    watts = [c[-1][1] / (c[-1][0] - c[0][0]) for m in idle.meters.values() if (c := curve(m)) and c[-1][0] > c[0][0]]
    before = f"; {significant(sum(watts))} W of it are drawn when idle" if watts else ""
    left_out = "".join(f"; {n} of {len(found)} trials have none: {why}" for why, n in reasons.items())
    return f"J/token is of the {scopes} only ({kinds}){before}{left_out}" + "".join(f"; {why}" for why in lacking)


def notes(contender: str, generations: Sequence[Generation]) -> Iterator[Note]:
    """What disturbed the trials of one contender, device by device."""
    seen = [g.telemetry for g in generations if g.telemetry is not None]
    for device in dict.fromkeys(key.partition(".")[0] for telemetry in seen for key in telemetry.gauges):
        for code, text in _disturbed(device, seen):
            yield note(code, text, contender=contender)


def _disturbed(device: str, seen: Sequence[Telemetry]) -> Iterator[tuple[str, str]]:
    def high(reading: str) -> float:
        """The highest value in any trial; 0 where there is none."""
        return max((t.gauges[key].high for t in seen if (key := f"{device}.{reading}") in t.gauges), default=0)

    def share(bits: int) -> float:
        """Of the readings, with one of the bits set."""
        counts = [(mask, n) for t in seen for mask, n in t.throttle.get(device, {}).items()]
        return sum(n for mask, n in counts if mask & bits) / (sum(n for _, n in counts) or 1)

    slowed, held = share(_SLOWED), share(_CAPPED)
    if slowed >= _SHARE:
        yield "THROTTLED", f"{device} was slowed down in {slowed:.0%} of the readings"
    if 0 < high("power_limit") < high("power_limit_default") - 1:
        text = f"{device} is limited to {high('power_limit'):.0f} W, {high('power_limit_default'):.0f} W by default"
        yield "POWER_CAPPED", f"{text}; the limit held the clocks down in {held:.0%} of the readings"
    if others := high("foreign_processes"):
        yield "FOREIGN_GPU_PROCESS", f"up to {others:.0f} other processes use {device}"
    if high("on_battery"):
        yield "ON_BATTERY", "the machine ran on battery"
    busy = [t.gauges[f"{device}.utilization"] for t in seen if f"{device}.utilization" in t.gauges]
    idle = not busy or min(gauge.total / gauge.count for gauge in busy) < _BUSY
    if not idle and 0 < high("sm_clock") < _LOW_CLOCK * high("sm_clock_max") and max(slowed, held) < _SHARE:
        yield "CLOCK_LOW", f"{device} was busy at {high('sm_clock') / 1e6:.0f} of {high('sm_clock_max') / 1e6:.0f} MHz"
