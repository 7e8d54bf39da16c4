"""What `specbench tune` may measure, and the part of it that one round does."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from specbench import faults
from specbench.engines.profile import Profile
from specbench.errors import InputError
from specbench.planning.runfile import RunFile
from specbench.records import Block, Contender, Plan, Setting, Trial
from specbench.structs import replace

LENGTHS: Mapping[str, Sequence[int]] = {"draft_tokens_max": (1, 2, 3, 4, 6, 8, 12, 16), "ngram_draft_size": (4, 8, 16)}
TEMPERATURE = 0.8


def candidates(runfile: RunFile, profile: Profile, *, temperature: float | None) -> RunFile:
    """The run file with every method at every draft length, unless a method's lengths are given. One family only."""
    methods = dict(runfile.method_settings)
    for name, method in profile.methods.items():
        least = method.defaults.get("draft_tokens_min", 1)
        for key, lengths in LENGTHS.items():
            if key in method.settings and key not in methods.get(name, {}):
                fitting: tuple[Setting, ...] = tuple(n for n in lengths if n >= int(least))
                methods[name] = {**methods.get(name, {}), key: fitting}
    if len(runfile.targets) != 1 or runfile.url:
        raise InputError("tune needs one target", hint="name it with --model; the embedded one is --model ballast")
    if (
        len(runfile.fill) > 1
        or len(runfile.template) > 1
        or runfile.streams != (1,)
        or any(len(v) > 1 for v in runfile.engine_settings.values())
    ):
        raise InputError(
            "tune sweeps methods only", hint="give one fill, one template, one stream and one value of a setting"
        )
    chosen = TEMPERATURE if temperature is None else temperature
    update = {"method_settings": methods, "temperatures": (chosen,), "control": False, "repeats": 1, "until": None}
    return runfile.model_copy(update=update)


def lines(contenders: Iterable[Contender]) -> list[list[str]]:
    """The candidates by name, in lines that differ in a draft length only, the shortest first."""
    found: dict[object, list[tuple[int, str]]] = defaultdict(list)
    for c in contenders:
        lengths = {k: n for k, n in c.settings.items() if k.rpartition(".")[2] in LENGTHS and isinstance(n, int)}
        axis = next(reversed(lengths), None)  # of several parts, the length of the last
        others = tuple((key, value) for key, value in c.settings.items() if key != axis)
        found[c.method, c.draft_model, c.baseline, others].append((lengths.get(axis or "", 0), c.name))
    return [[name for _, name in sorted(line)] for line in found.values()]


def round_blocks(
    grid: Plan,
    contenders: Mapping[str, Collection[str]],
    prompts: Mapping[str, Collection[str]],
    *,
    look: int,
    first: int,
) -> tuple[Block, ...]:
    """The blocks of the `look`-th round, numbered from `first`: candidates and prompts are by category.

    A candidate's engine is opened once for all categories, unless its drafter learns. Every other round runs backwards,
    so that drift cancels.
    """
    blocks: dict[object, list[Trial]] = {}
    for block in grid.blocks:
        trials = [
            t
            for t in block.trials
            if t.contender in contenders.get(t.category, ()) and t.prompt in prompts.get(t.category, ())
        ]
        if trials:
            warm_up = [replace(t, id=f"{t.id}/{look}") for t in block.trials if t.role == "warm-up"]
            place = block.index if grid.contender(block.contender).learns else block.contender
            blocks.setdefault(place, warm_up).extend(t for t in trials if t.role != "warm-up")
    found = list(blocks.values())[:: -1 if look % 2 == 0 else 1]
    return tuple(Block(index=first + i, contender=b[-1].contender, trials=tuple(b)) for i, b in enumerate(found))


def shares(mix: Mapping[str, float] | None, categories: Sequence[str]) -> dict[str, float]:
    """The user's mix as shares that sum to 1; equal ones without a mix."""
    asked = mix or dict.fromkeys(categories, 1.0)
    for name, share in asked.items():
        if name not in categories:
            raise InputError(f"the mix has {name!r}, which is not measured", hint=faults.did_you_mean(name, categories))
        if share <= 0:
            raise InputError(f"the share of {name} is {share:g}", hint="give positive shares, as code=0.6,chat=0.4")
    return {name: share / sum(asked.values()) for name, share in asked.items()}
