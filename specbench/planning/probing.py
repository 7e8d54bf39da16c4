"""Which settings of a method can be seen to act, and the plan that tries each of them at two values."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from specbench.engines.profile import Profile
from specbench.errors import InputError
from specbench.planning.contenders import label_of
from specbench.planning.runfile import RunFile, Values
from specbench.records import Plan, Setting
from specbench.structs import replace


@dataclass(frozen=True)
class Probe:
    """Two values of which drafts of trained drafters cannot be alike, and what else is set so that this holds."""

    values: tuple[Setting, Setting]
    beside: Mapping[str, Setting] = field(default_factory=dict)


PROBES: Mapping[str, tuple[Probe, ...]] = {  # of several, the first of which a method has all settings
    "draft_tokens_max": (Probe((1, 3)),),
    # Drafts that end early, at a doubt or at an unknown n-gram, are dropped where they are too short.
    "draft_tokens_min": (
        Probe((0, 3), {"p_min": 0.3, "draft_tokens_max": 3}),
        Probe((0, 40), {"ngram_match": 2, "draft_tokens_max": 48}),
    ),
    "p_min": (Probe((0.0, 0.99)),),
    "p_split": (Probe((0.1, 0.9)),),
    "min_hits": (Probe((1, 8), {"ngram_size": 2, "ngram_draft_size": 4}),),
    "ngram_draft_size": (Probe((2, 8), {"ngram_size": 2}),),
    "ngram_match": (Probe((2, 16)),),
    "ngram_size": (Probe((2, 8), {"ngram_draft_size": 4}), Probe((2, 8))),
    "ngram_size_min": (Probe((2, 6), {"ngram_size": 6}),),
    "spec_factor": (Probe((0.5, 4.0)),),
    "tree_depth": (Probe((4, 24)),),
}


def runfiles(runfile: RunFile, profile: Profile, methods: Mapping[str, Collection[str]]) -> list[RunFile]:
    """One for each setting that can be probed. `methods` are those of each target, by its label.

    InputError when no method has such a setting.
    """
    found = []
    for key, probes in PROBES.items():
        settings: dict[str, dict[str, Values]] = {}
        for name in set().union(*methods.values()):
            for probe in probes:
                wanted: dict[str, Values] = {**{k: (value,) for k, value in probe.beside.items()}, key: probe.values}
                if wanted.keys() <= profile.methods[name].settings.keys():
                    settings.setdefault(name, wanted)
        able = {target: tuple(name for name in names if name in settings) for target, names in methods.items()}
        targets = [t.model_copy(update={"methods": able[label_of(t)]}) for t in runfile.targets if able[label_of(t)]]
        if targets:
            update = {"targets": tuple(targets), "methods": None, "method_settings": settings}
            found.append(runfile.model_copy(update=update))
    if not found:
        raise InputError("there is no setting that could be probed", hint="`specbench methods` lists the settings")
    return found


def merged(plans: Iterable[Plan]) -> Plan:
    """All contenders of the plans, each once, and their blocks."""
    first, *others = plans
    for plan in others:
        known = {c.name for c in first.contenders}
        new = tuple(c for c in plan.contenders if c.name not in known)
        blocks = [*first.blocks, *(b for b in plan.blocks if b.contender not in known)]
        first = replace(
            first,
            contenders=(*first.contenders, *new),
            blocks=tuple(replace(b, index=i) for i, b in enumerate(blocks)),
            prompts=tuple({p.id: p for p in (*first.prompts, *plan.prompts)}.values()),
            left_out={**first.left_out, **plan.left_out},
            drafters_found={**first.drafters_found, **plan.drafters_found},
            model_files={**first.model_files, **plan.model_files},
        )
    return first
