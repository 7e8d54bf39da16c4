"""Later turns of a conversation are prompts that come after others."""

from collections.abc import Mapping

from specbench.records import Prompt


def turns(prompts: Mapping[str, Prompt], name: str) -> list[Prompt]:
    """The prompt of that id, and before it those that it comes after, the first turn first; KeyError without one."""
    before = prompts[name].after
    return [*(() if before is None else turns(prompts, before)), prompts[name]]
