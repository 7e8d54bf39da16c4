"""One run file for several engines -> each one's part: the targets it reads, the methods and settings it has."""

from collections.abc import Iterator, Mapping, Sequence

from specbench.engines.profile import Profile, choose
from specbench.errors import InputError
from specbench.models.facts import ModelFacts
from specbench.planning.runfile import RunFile


def per_engine(
    runfile: RunFile, profiles: Sequence[Profile], facts: Mapping[str, ModelFacts]
) -> Iterator[tuple[RunFile, Profile]]:
    """The run file's part for each profile. InputError for what no engine knows, or an engine without a target."""
    if len(profiles) > 1:
        methods = {name for profile in profiles for name in profile.methods}
        for name in {
            part for method in (*(runfile.methods or ()), *runfile.method_settings) for part in method.split("+")
        }:
            choose(name, methods, what="method of these engines")
        for key in runfile.engine_settings:
            choose(key, {key for profile in profiles for key in profile.settings}, what="engine setting")
    for profile in profiles:
        targets = [t for t in runfile.targets if t.model not in facts or facts[t.model].format == profile.reads]
        if runfile.targets and not targets:
            shape = "a GGUF file" if profile.reads == "gguf" else "a folder with config.json and safetensors"
            raise InputError(f"{profile.name} reads {shape}, and no target is one", hint="give such a --model too")
        shared = _shared(runfile, profile) if len(profiles) > 1 else {}
        yield runfile.model_copy(update={"targets": tuple(targets), **shared}), profile


def _shared(runfile: RunFile, profile: Profile) -> dict[str, object]:
    """What is asked for and this engine has."""

    def known(method: str) -> bool:
        return all(part in profile.methods for part in method.split("+"))

    settings = {
        method: {key: value for key, value in table.items() if "+" in method or key in profile.methods[method].settings}
        for method, table in runfile.method_settings.items()
        if known(method)
    }
    return {
        "methods": None if runfile.methods is None else tuple(filter(known, runfile.methods)) or ("none",),
        "method_settings": settings,
        "engine_settings": {key: v for key, v in runfile.engine_settings.items() if key in profile.settings},
    }
