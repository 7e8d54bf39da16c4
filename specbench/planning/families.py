"""Lists in a run file -> every combination, named by what varies."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod

from specbench.errors import InputError
from specbench.planning.runfile import RunFile
from specbench.records import Setting

_MOST = 1000  # contenders of a target; far more than anybody can measure


@dataclass(frozen=True)
class Family:
    """Contenders that differ in their method only and share a baseline. `name` says what varies between families."""

    name: str
    engine_settings: dict[str, Setting]
    template: bool
    streams: int


def families(runfile: RunFile) -> Iterator[Family]:
    """Every combination of what is set for the baseline and its methods alike."""
    for words, chosen in combinations(_shared(runfile)):
        template, streams = bool(chosen.pop("template")), int(chosen.pop("streams"))
        yield Family(" ".join(words), chosen, template, streams)


def require_feasible(runfile: RunFile, methods: Iterable[str]) -> None:
    """InputError for a sweep of more contenders than anybody can measure, before they are made."""
    each = [prod(map(len, runfile.method_settings.get(method, {}).values())) for method in methods]
    if (count := prod(map(len, _shared(runfile).values())) * sum(each)) > _MOST:
        raise InputError(f"the sweep has {count:,} contenders for each target", hint="sweep fewer settings at once")


def _shared(runfile: RunFile) -> dict[str, tuple[Setting, ...]]:
    return {**runfile.engine_settings, "template": runfile.template, "streams": runfile.streams}


def combinations(lists: Mapping[str, tuple[Setting, ...]]) -> Iterator[tuple[list[str], dict[str, Setting]]]:
    """`key=value` words of what varies, and all values, for each combination. InputError for a value given twice."""
    for key, values in lists.items():
        if len({_shown(value) for value in values}) < len(values):
            raise InputError(f"{key} is given a value twice", hint="give each value of a sweep once")
    for values in product(*lists.values()):
        chosen = dict(zip(lists, values, strict=True))
        yield [f"{key}={_shown(value)}" for key, value in chosen.items() if len(lists[key]) > 1], chosen


def _shown(value: Setting) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
