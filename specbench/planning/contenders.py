"""Who is measured: targets x families x methods x swept settings, each with the command that starts its engine."""

import re
from collections.abc import Collection, Mapping
from itertools import product

from specbench.engines.profile import Profile, command, doubts, effective_settings, find_method
from specbench.errors import InputError
from specbench.models.facts import ModelFacts
from specbench.planning.families import combinations, families, require_feasible
from specbench.planning.runfile import RunFile, Target
from specbench.records import Contender

BASELINE = "none"

_FILE = "name it with --draft-model, or leave the method out"
_NEEDED = {
    "draft-model": ("a draft model, and none was given or found", _FILE),
    "eagle": ("an EAGLE head, and none was given or found", _FILE),
    "eagle3": ("an EAGLE-3 head, and none was given or found", _FILE),
    "medusa": ("Medusa heads, and none were given or found", _FILE),
    "dflash": ("a DFlash drafter, and none was given or found", _FILE),
    "dspark": ("a DSpark drafter, and none was given or found", _FILE),
    "domino": ("a Domino drafter, and none was given or found", _FILE),
    "orthrus": ("a target with Orthrus' diffusion path, and this one has none", "take an Orthrus model"),
    "mtp": (
        "MTP heads that the engine drafts with, and the target has none",
        "take a conversion that keeps the nextn tensors, give a file of heads, or leave the method out",
    ),
}


def contenders(
    runfile: RunFile,
    *,
    profile: Profile,
    facts: Mapping[str, ModelFacts],
    context_sizes: Mapping[str, int],
    of_several: bool = False,
) -> tuple[tuple[Contender, ...], dict[str, str]]:
    """All contenders, each target's baseline first, and the methods that were left out with the reason.

    `context_sizes` are tokens by target model, for engines that take such a setting. `of_several`: the run has other
    engines too, so that names begin with this one's.
    """
    targets = runfile.targets or (Target(model=runfile.url or "", label="server"),)
    labels = [label_of(target) for target in targets]
    if len(set(labels)) < len(labels):
        raise InputError("two targets have the same label", hint="give each target a label of its own")
    for method in runfile.method_settings:
        find_method(profile, method)
    found: list[Contender] = []
    left_out: dict[str, str] = {}
    files = {label: _drafters(target, facts) for target, label in zip(targets, labels, strict=True)}
    for target, label in zip(targets, labels, strict=True):
        prefix = (f"{profile.name} · " if of_several else "") + (f"{label} · " if len(targets) > 1 else "")
        drafters = files[label]
        elsewhere = [
            m for m in runfile.methods or () if any(find_method(profile, m).needs in f for f in files.values())
        ]
        methods = _methods(
            runfile, profile, target, drafters=drafters, elsewhere=elsewhere, prefix=prefix, left_out=left_out
        )
        require_feasible(runfile, methods)
        if profile.protocol == "openai" and False in runfile.template:
            raise InputError(f"{profile.name} takes messages only", hint="leave out template = false")
        for family, method in product(families(runfile), methods):
            entry = find_method(profile, method)
            drafter = drafters.get(entry.needs)
            settings = dict(family.engine_settings)
            if target.model in context_sizes and "context_size" in profile.settings:
                settings.setdefault("context_size", context_sizes[target.model])
            most = facts[drafter].draft_tokens_most if drafter is not None and drafter in facts else None
            for words, chosen in combinations(runfile.method_settings.get(method, {})):
                name = prefix + " ".join(filter(None, [method, *words, family.name]))
                if most is not None and int(chosen.get("draft_tokens_max", 0)) > most:
                    left_out[name] = f"{_stem(drafter or '')} was trained on blocks of {most} draft tokens"
                    continue
                argv, environment = command(
                    profile,
                    target_model=target.model,
                    draft_model=drafter,
                    method=method,
                    settings=chosen,
                    engine_settings=settings,
                    engine_args=runfile.engine_args,
                    streams=family.streams,
                    trust_remote_code=runfile.trust_remote_code,
                )
                known = facts.get(target.model)
                found.append(
                    Contender(
                        name=name,
                        engine=profile.name,
                        kind=profile.kind,
                        protocol=profile.protocol,
                        target_model=target.model,
                        target_label=label,
                        target_note=target.note,
                        target_quant=known.quant if known else None,
                        draft_model=drafter,
                        draft_label=_stem(drafter) if drafter else None,
                        method=method,
                        settings=effective_settings(profile, method, chosen),
                        engine_settings=settings,
                        engine_args=runfile.engine_args,
                        executable=runfile.engines.get(profile.name) or profile.executable,
                        url=runfile.url,
                        argv=argv,
                        help=profile.help,
                        environment=environment,
                        learns=entry.learns,
                        doubts=doubts(profile, argv),
                        family=family.name,
                        template=family.template,
                        streams=family.streams,
                        baseline=(prefix + " ".join(filter(None, [BASELINE, family.name])))
                        if method != BASELINE and BASELINE in methods
                        else None,
                    )
                )
    return tuple(found), left_out


def _drafters(target: Target, facts: Mapping[str, ModelFacts]) -> dict[str | None, str | None]:
    """The drafter files of a target by kind. The entry of heads in the target's own file is None."""
    found: dict[str | None, str | None] = {None: None}
    if (known := facts.get(target.model)) is not None and known.nextn_layers and known.nextn_drafts:
        found["mtp"] = None
    if known is not None and "orthrus" in known.architecture.lower():
        found["orthrus"] = None
    for file in target.drafters:
        kind = (facts[file].drafter if file in facts else None) or "draft-model"
        if (other := found.get(kind)) is not None:
            raise InputError(
                f"{_stem(other)} and {_stem(file)} are both drafters of the kind {kind}",
                hint="give one of each kind, or run twice",
            )
        found[kind] = file
    return found


def _methods(
    runfile: RunFile,
    profile: Profile,
    target: Target,
    *,
    drafters: Mapping[str | None, str | None],
    elsewhere: Collection[str],
    prefix: str,
    left_out: dict[str, str],
) -> tuple[str, ...]:
    """The methods of one target: those asked for, or all that are possible; the baseline first."""
    if profile.kind == "attach":
        asked = runfile.methods or (BASELINE,)
        if len(asked) > 1:
            raise InputError(
                "a server that already runs has one method", hint="run once for each server, with --methods NAME"
            )
        return asked
    wanted = target.methods or runfile.methods
    possible = [BASELINE] if BASELINE in profile.methods else []
    for method in wanted or profile.methods:
        entry = find_method(profile, method)
        needs = entry.needs
        if entry.custom_code and wanted is None and not runfile.trust_remote_code and needs in drafters:
            left_out[prefix + method] = (
                "it runs Python code that lies beside the weights: allow it with --trust-remote-code"
            )
        elif needs not in drafters:
            what, hint = _NEEDED[needs or ""]
            # Of several targets, those that can do what was asked for the run do it.
            if wanted is not None and (target.methods or method not in elsewhere):
                raise InputError(f"{prefix}{method} needs {what}", hint=hint)
            left_out[prefix + method] = f"it needs {what}"
        elif method not in possible:
            possible.append(method)
    return tuple(possible) if wanted is None or {*wanted} & {*possible} else ()


def label_of(target: Target) -> str:
    """What tables call the target."""
    return target.label or _stem(target.model)


def _stem(model: str) -> str:
    return re.split(r"[\\/]", model)[-1].removesuffix(".gguf")
