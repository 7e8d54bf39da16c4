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
        for method, table in runfile.method_settings.items():
            known = {k for p in profiles for m in (p.methods.get(method),) if m is not None for k in m.settings}
            for key in () if "+" in method else table:
                choose(key, known, what=f"setting of {method}")
        for key in runfile.engine_settings:
            choose(key, {key for profile in profiles for key in profile.settings}, what="engine setting")
    for profile in profiles:
        targets = [t for t in runfile.targets if t.model not in facts or facts[t.model].format == profile.reads]
        if len(profiles) > 1:
            targets = [t.model_copy(update={"methods": _known(t.methods, profile)}) for t in targets]
        if runfile.targets and not targets:
            shape = "a GGUF file" if profile.reads == "gguf" else "a folder with config.json and safetensors"
            raise InputError(f"{profile.name} reads {shape}, and no target is one", hint="give such a --model too")
        shared = _shared(runfile, profile) if len(profiles) > 1 else {}
        yield runfile.model_copy(update={"targets": tuple(targets), **shared}), profile


def _shared(runfile: RunFile, profile: Profile) -> dict[str, object]:
    """What is asked for and this engine has."""
    settings = {
        method: {key: value for key, value in table.items() if "+" in method or key in profile.methods[method].settings}
        for method, table in runfile.method_settings.items()
        if _has(profile, method)
    }
    return {
        "methods": _known(runfile.methods, profile),
        "method_settings": settings,
        "engine_settings": {key: v for key, v in runfile.engine_settings.items() if key in profile.settings},
    }


def _has(profile: Profile, method: str) -> bool:
    return all(part in profile.methods for part in method.split("+"))


def _known(methods: Sequence[str] | None, profile: Profile) -> tuple[str, ...] | None:
    """Those that the engine has; its baseline where it has none of them. None: nothing was chosen."""
    return None if methods is None else tuple(m for m in methods if _has(profile, m)) or ("none",)
