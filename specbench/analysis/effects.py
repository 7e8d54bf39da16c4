"""Has a setting an effect? Contenders that differ in it only, on the same prompts, greedy: are their drafts alike?"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from specbench.records import DraftCounts, Failure, Generation, Plan, Result, Skip

Verdict = Literal["acts", "SETTING_IGNORED", "too few drafts", "refused", "not measured"]

ENOUGH = 10  # drafts that are alike at both values, before a setting is said to be ignored


@dataclass(frozen=True)
class Effect:
    """Of one setting of a method at two values: on how many of the prompts the engine counted other drafts.

    `reason`: why one of the two did not run, where the engine says it.
    """

    target: str
    method: str
    setting: str
    values: tuple[str, str]
    verdict: Verdict
    differing: int
    prompts: int
    reason: str | None


def effects(plan: Plan, results: Iterable[Result]) -> list[Effect]:
    """In the plan's order; contenders that differ in one setting carry it in their names."""
    counted: dict[str, dict[tuple[str, str], DraftCounts]] = defaultdict(dict)
    reasons: dict[str, str] = {}
    for r in results:
        if isinstance(r, Generation) and r.trial.role == "measured":
            counted[r.trial.contender][r.trial.category, r.trial.prompt] = r.counts
        elif isinstance(r, Skip):
            reasons[r.contender] = r.reason
        elif isinstance(r, Failure):
            reasons.setdefault(r.trial.contender, r.message)
    pairs: dict[tuple[str, str, str], dict[str, str]] = defaultdict(dict)
    for c in plan.contenders:
        for word in c.name.split():
            setting, given, value = word.partition("=")
            if given:
                pairs[c.target_label, c.method, setting][value] = c.name
    found = []
    for (target, method, setting), values in pairs.items():
        if len(values) != 2:  # noqa: PLR2004  one was left out of the plan, with its reason
            continue
        (low, one), (high, other) = values.items()
        shared = [(counted[one][key], counted[other][key]) for key in counted[one].keys() & counted[other].keys()]
        differing = sum(_drafts(a) != _drafts(b) for a, b in shared)
        reason = None if shared else reasons.get(one) or reasons.get(other)
        verdict = _verdict(shared, differing, reason)
        found.append(Effect(target, method, setting, (low, high), verdict, differing, len(shared), reason))
    return found


def _drafts(counts: DraftCounts) -> tuple[object, ...]:
    return counts.drafted, counts.accepted, counts.accepted_by_position, counts.drafted_steps


def _verdict(shared: Sequence[tuple[DraftCounts, DraftCounts]], differing: int, reason: str | None) -> Verdict:
    if not shared:
        return "refused" if reason else "not measured"
    if differing:
        return "acts"
    return "SETTING_IGNORED" if sum(a.drafted_steps or 0 for a, _ in shared) >= ENOUGH else "too few drafts"
