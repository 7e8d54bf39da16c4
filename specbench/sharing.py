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


@cache
def _whole_numbers() -> list[int]:
    return list(range(2**18))


class Shared(dict[Any, Any]):
    """Holds once what repeats in a run: the plan's trials, words, ids, tables. Otherwise it takes twice the memory."""

    def __init__(self, plan: Plan) -> None:
        self.tables: dict[str, dict[str, Any]] = {}
        self.trials = {t.id: t for block in plan.blocks for t in block.trials}
        for trial in self.trials.values():
            self._words(trial)

    def __missing__(self, value: Any) -> Any:
        self[value] = value
        return value

    def within(self, g: Generation) -> None:
        """The generation is new and nobody else's, so that it may be written to."""
        trial = self.trials.get(g.trial.id)
        if trial == g.trial:
            _put(g, "trial", trial)
        else:
            self._words(g.trial)
        _put(g, "text", self[g.text])
        _put(g, "prompt_sha256", self[g.prompt_sha256])
        if (ids := g.output_ids) is not None and len(ids) > 1:
            try:
                held = itemgetter(*ids)(_whole_numbers())
            except IndexError:  # beyond all vocabularies
                held = None
            if held == ids:  # none is below 0
                _put(g, "output_ids", held)
        _put(g, "observed", self._table(g.observed))
        _put(g.counts, "sources", self._table(g.counts.sources))

    def _words(self, trial: Trial) -> None:
        _put(trial, "contender", self[trial.contender])
        _put(trial, "category", self[trial.category])
        _put(trial, "prompt", self[trial.prompt])
        _put(trial, "repeat", self[trial.repeat])
        _put(trial, "seed", self[trial.seed])

    def _table(self, table: dict[str, Any]) -> dict[str, Any]:
        return self.tables.setdefault(repr(table), table)
