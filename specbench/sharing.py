"""Many records in little memory and time: what repeats is held once, and nothing looks for garbage meanwhile."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from operator import itemgetter
from typing import Any

import msgspec

from specbench.records import Generation, Plan, Trial


@contextmanager
def no_collection() -> Iterator[None]:
    """Without garbage collection: it would look at 100,000 new records again and again and find nothing to free."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


_put: Callable[[Any, str, Any], None] = msgspec.structs.force_setattr  # of a frozen record


_REPEATED = ("contender", "category", "prompt", "repeat", "seed")
_NOTHING: dict[str, Any] = {}  # nobody writes into a record


@cache
def _whole_numbers() -> list[int]:
    return list(range(2**18))


class Shared(dict[Any, Any]):
    """Holds once what repeats in a run: the plan's trials, words, ids, tables. Otherwise it takes twice the memory."""

    def __init__(self, plan: Plan) -> None:
        self.tables: dict[str, dict[str, Any]] = {}
        self.numbers = _whole_numbers()
        self.trials = {t.id: t for block in plan.blocks for t in block.trials}
        for trial in self.trials.values():
            self._words(trial)

    def __missing__(self, value: Any) -> Any:
        self[value] = value
        return value

    def within(self, g: Generation) -> None:
        """The generation is new and nobody else's, so that it may be written to."""
        put, ids = _put, g.output_ids
        trial = self.trials.get(g.trial.id)
        if trial == g.trial:
            put(g, "trial", trial)
        else:
            self._words(g.trial)
        put(g, "text", self[g.text])
        put(g, "prompt_sha256", self[g.prompt_sha256])
        if ids is not None and len(ids) > 1:
            try:
                held = itemgetter(*ids)(self.numbers)
            except IndexError:  # beyond all vocabularies
                held = None
            if held == ids:  # none is below 0
                put(g, "output_ids", held)
        put(g, "observed", self.tables.setdefault(repr(g.observed), g.observed) if g.observed else _NOTHING)
        sources = g.counts.sources
        put(g.counts, "sources", self.tables.setdefault(repr(sources), sources) if sources else _NOTHING)

    def _words(self, trial: Trial) -> None:
        for name in _REPEATED:
            _put(trial, name, self[getattr(trial, name)])
