"""Many records in little memory and time: what repeats is held once, and nothing looks for garbage meanwhile."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from specbench.records import Generation, Plan


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


class Shared(dict[Any, Any]):
    """Holds once what repeats in a run: the plan's trials, words, ids, tables. Otherwise it takes twice the memory."""

    def __init__(self, plan: Plan) -> None:
        self.trials = {t.id: t for block in plan.blocks for t in block.trials}
        for trial in self.trials.values():
            self.of(trial, "contender", "category", "prompt", "repeat", "seed")

    def __missing__(self, value: Any) -> Any:
        self[value] = value
        return value

    def of(self, owner: Any, *names: str) -> None:
        """The owner is new and nobody else's, so that it may be written to."""
        for name in names:
            _put(owner, name, self[getattr(owner, name)])

    def within(self, g: Generation) -> None:
        trial = self.trials.get(g.trial.id)
        if trial == g.trial:
            _put(g, "trial", trial)
        else:
            self.of(g.trial, "contender", "category", "prompt", "repeat", "seed")
        self.of(g, "text", "prompt_sha256")
        if g.output_ids:
            _put(g, "output_ids", tuple(map(self.__getitem__, g.output_ids)))
        for owner, name in ((g, "observed"), (g.counts, "sources")):
            table = getattr(owner, name)
            _put(owner, name, self.setdefault((name, repr(table)), table))
