"""Engine profile + contender -> the words that start the engine. Profiles are data: no conditions, no expressions."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from string import Template
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from specbench.errors import InputError
from specbench.records import Doubt, Kind, Protocol, Setting
from specbench.untrusted import toml, understood

Words = tuple[str, ...]
Drafter = Literal["draft-model", "eagle", "eagle3", "medusa", "dflash", "dspark", "mtp", "domino", "orthrus"]
_WITHIN: tuple[Drafter | None, ...] = (None, "mtp", "orthrus")  # what needs no file of its own
Fragment = Words | dict[str, Words]  # words with $placeholders, or one list of words for each allowed value

_OPEN = {"port": "$port"}  # filled in when the engine starts
# What every word of a profile may use. An engine that divides its context among its streams takes `whole_context`.
_FIXED = {"target_model", "draft_model", "streams", "whole_context", *_OPEN}


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    argv: Words = ()
    settings: dict[str, Fragment] = {}
    defaults: dict[str, Setting] = {}


class Method(_Table):
    """How one method is switched on. `learns`: the drafter carries what it saw from one request to the next.

    `type`: its name in the profile's `types`; methods that have one can be combined. Its words may use every setting
    that has a default: `"mtp:n_max=$draft_tokens_max"`. `needs`: the kind of drafter file; for `mtp`, heads in the
    target's own file. `settings_of`: another method whose settings this one has too. `custom_code`: it runs code that
    lies beside the weights.
    """

    type: str | None = None
    needs: Drafter | None = None
    argv_with_file: Words = ()
    settings_of: str | None = None
    learns: bool = False
    custom_code: bool = False


class Profile(_Table):
    """An engine as data. `help` are the words after the executable that print its flags; empty: it cannot tell.

    `types`: the words that switch methods on, `$types` being a comma list; `$type` where the engine takes only one.
    `defaults` are settings that every start has. `doubts`: flags that need a note beside the result, with the note's
    code and the reason. `protocol`: how it is asked once it runs. `install`: what gets the program. `sampling`: the
    only values with which it drafts above temperature 0. Of the kind `python` the first word is a script of
    `engines/children`, and the executable the interpreter that has the engine's package; without one, ours. `trust`:
    the words that allow code from a model's folder. Without `grammars` no answer can be held to a schema.
    """

    name: str
    title: str
    kind: Kind
    reads: Literal["gguf", "safetensors"] = "gguf"
    protocol: Protocol = "llama.cpp"
    doubts: dict[str, tuple[Doubt, str]] = {}
    executable: str | None = None
    install: str | None = None
    sampling: dict[Literal["top_k", "top_p", "min_p"], float] = {}
    help: Words = ()
    trust: Words = ()
    grammars: bool = True
    environment: dict[str, str] = {}
    types: Words = ()
    methods: dict[str, Method]


def parse_profile(name: str, text: str, *, bases: Mapping[str, str]) -> Profile:
    """The profile in `text`. `extends` names one of `bases` (TOML texts), whose tables are overlaid key by key.

    `without` are dotted keys of the base that this engine does not have.
    """
    with understood(f"engine profile {name!r}", hint="compare it with the profiles in specbench/engines/profiles"):
        return _parsed(name, text, bases)


def _parsed(name: str, text: str, bases: Mapping[str, str]) -> Profile:
    values = _toml(name, text)
    gone: tuple[str, ...] = tuple(values.pop("without", ()))
    if (base := values.pop("extends", None)) is not None:
        below = _toml(base, bases[choose(str(base), bases, what="engine profile")])
        below.pop("install", None)  # gets the base's program
        if "extends" in below:
            raise InputError(
                f"engine profile {name!r} extends {base!r}, which extends another", hint="extend that one directly"
            )
        for dotted in gone:
            _remove(below, dotted, name)
        values = _overlaid(below, values)
    try:
        profile = _with_shared_settings(Profile.model_validate({"title": name, **values, "name": name}))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"engine profile {name!r}: {where}: {first['msg']}", hint=_hint(first, where)) from error
    kept = {key: method for key, method in profile.methods.items() if f"methods.{key}" not in gone}
    profile = profile.model_copy(update={"methods": kept})
    _check_placeholders(profile)
    return profile


def _with_shared_settings(profile: Profile) -> Profile:
    methods = dict(profile.methods)
    for name, method in profile.methods.items():
        if method.settings_of is not None:
            like = choose(method.settings_of, profile.methods, what=f"method of {profile.name}")
            settings = {**profile.methods[like].settings, **method.settings}
            methods[name] = method.model_copy(update={"settings": settings})
    return profile.model_copy(update={"methods": methods})


def find_method(profile: Profile, name: str) -> Method:
    """The method of that name, or several joined by `+`; InputError for one that is unknown or cannot be joined.

    The engine asks the first of them for a draft, and the next one where it has none. Its order is fixed: look-ups in
    that of the profile, then the one that needs a model. A setting of a combination is named PART.KEY.
    """
    what = f"method of {profile.name}"
    parts = {part: profile.methods[choose(part, profile.methods, what=what)] for part in name.split("+")}
    if name in parts:
        return parts[name]
    listed = any("$types" in word for word in profile.types)
    if alone := [part for part, method in parts.items() if method.type is None or not listed]:
        raise InputError(f"{alone[0]} cannot be combined on {profile.name}", hint="measure it by itself")
    if len(needs := [method.needs for method in parts.values() if method.needs is not None]) > 1:
        raise InputError(f"{name} has {len(needs)} drafters with a model", hint="combine one with n-gram methods")
    order = "+".join(sorted(parts, key=lambda part: (parts[part].needs is not None, list(profile.methods).index(part))))
    if name != order:
        raise InputError(f"{profile.name} has its own order for {name}", hint=f"write it as {order}")
    return Method(
        type=",".join(method.type or "" for method in parts.values()),
        argv=tuple(word for method in parts.values() for word in method.argv),
        argv_with_file=tuple(word for method in parts.values() for word in method.argv_with_file),
        settings={f"{part}.{key}": words for part, m in parts.items() for key, words in m.settings.items()},
        defaults={f"{part}.{key}": value for part, m in parts.items() for key, value in m.defaults.items()},
        needs=next(iter(needs), None),
        learns=any(method.learns for method in parts.values()),
    )


def effective_settings(profile: Profile, method: str, settings: Mapping[str, Setting]) -> dict[str, Setting]:
    """The method's defaults with `settings` over them: all that a record must show. InputError for an unknown one.

    Without the defaults for an engine that is attached to: how that was started is known only from the user.
    """
    chosen = find_method(profile, method)
    for key, value in settings.items():
        _fragment(chosen.settings, key, value, what=f"setting of {method} on {profile.name}")
    return {**({} if profile.kind == "attach" else chosen.defaults), **settings}


def command(
    profile: Profile,
    *,
    target_model: str,
    draft_model: str | None,
    method: str,
    settings: Mapping[str, Setting],
    engine_settings: Mapping[str, Setting],
    engine_args: Iterable[str],
    streams: int = 1,
    trust_remote_code: bool = False,
) -> tuple[Words, dict[str, str]]:
    """The words after the executable, `$port` still open, and the environment. Both empty for kind `attach`."""
    chosen = find_method(profile, method)
    if chosen.needs not in _WITHIN and draft_model is None and profile.kind != "attach":
        raise InputError(
            f"{method} needs a drafter file ({chosen.needs})",
            hint="name it with --draft-model, or leave the method out",
        )
    if trust_remote_code and not profile.trust:
        raise InputError(f"{profile.name} runs no code from a model's folder", hint="leave out --trust-remote-code")
    if chosen.custom_code and not trust_remote_code:
        raise InputError(
            f"{method} runs Python code that lies beside the model's weights",
            hint="read that code, then allow it with --trust-remote-code",
        )
    effective = effective_settings(profile, method, settings)
    if profile.kind == "attach":
        return (), {}
    of_engine = {**profile.defaults, **engine_settings}
    if streams > 1:
        if "parallel_slots" not in profile.settings:
            raise InputError(f"{profile.name} works on one request at a time", hint="leave streams out")
        of_engine["parallel_slots"] = streams
    fixed = {**_OPEN, "target_model": target_model, "draft_model": draft_model or ""}
    fixed |= {"types": chosen.type or "", "type": chosen.type or ""}
    fixed |= {key: _shown(value) for key, value in of_engine.items()}
    if (size := engine_settings.get("context_size")) is not None:
        if not str(size).isdigit():
            raise InputError(f"context_size is {size!r}, no number of tokens", hint="write it as 8192")
        fixed["whole_context"] = str(int(size) * streams)
    words = [
        *_filled(profile.argv, fixed),
        *(profile.trust if trust_remote_code else ()),
        *_words(profile.settings, of_engine, fixed, what=f"engine setting of {profile.name}"),
        *_filled(profile.types if chosen.type else (), fixed),
        *_filled(chosen.argv, {**fixed, **{key: _shown(value) for key, value in effective.items()}}),
        *_filled(chosen.argv_with_file if draft_model is not None else (), fixed),
        *_words(chosen.settings, effective, fixed, what=f"setting of {method} on {profile.name}"),
    ]
    if twice := {_flag(word) for word in engine_args} & {_flag(word) for word in words} - {None}:
        raise InputError(
            f"{min(filter(None, twice))} would be given twice",
            hint="use the setting for it, or leave it out of the words",
        )
    return (*words, *engine_args), dict(profile.environment)


def doubts(profile: Profile, argv: Iterable[str]) -> tuple[tuple[Doubt, str], ...]:
    """What the profile says about flags that are in use."""
    used = {_flag(word) for word in argv}
    return tuple(doubt for flag, doubt in profile.doubts.items() if flag in used)


def _flag(word: str) -> str | None:
    """The name in `--name`, `--name=value` or `attribute.name=value`; None for a plain value."""
    found = re.match(r"(--[A-Za-z][\w-]*)(?:=|$)|([a-z][a-z_.]*)=", word)
    return None if found is None else found[1] or found[2]


def needs(profile: Profile | None, methods: Iterable[str] | None) -> set[str]:
    """The kinds of drafters that the methods of a profile (None: all of them) work with."""
    known = profile.methods if profile is not None else {}
    asked = known if methods is None else [part for method in methods for part in method.split("+")]
    return {kind for method in asked if method in known and (kind := known[method].needs) is not None}


def flags_missing(argv: Iterable[str], help_text: str) -> Words:
    """The flags of `argv` that the engine's help does not list, or lists as removed."""
    known: set[str] = set()
    removed: set[str] = set()
    flags: list[str] = []
    for line in help_text.splitlines():
        if re.match(r" {0,9}-", line):  # deeper down stand explanations
            names = re.split(r"(?<!\s)\s{2,}+(?!-)", line.strip(), maxsplit=1)[0]
            flags = re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", names)
            known.update(flags)
        if "has been removed" in line:
            removed.update(flags)
    used = (word.partition("=")[0] for word in argv if re.match(r"--?[A-Za-z]", word))
    return tuple(dict.fromkeys(flag for flag in used if flag not in known - removed))


def choose(name: str, known: Iterable[str], *, what: str) -> str:
    """`name` when it is known; otherwise an InputError that suggests what was meant."""
    names = sorted(known)
    if name in names:
        return name
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(names) or 'none'}"
    raise InputError(f"unknown {what}: {name}", hint=hint)


def _words(
    known: Mapping[str, Fragment], given: Mapping[str, Setting], fixed: Mapping[str, str], *, what: str
) -> list[str]:
    """The words of the given settings. A word names its setting without the part of a combination before it."""
    return [
        word
        for key, value in given.items()
        for word in _filled(_fragment(known, key, value, what=what), {**fixed, key.rpartition(".")[2]: _shown(value)})
    ]


def _filled(words: Iterable[str], values: Mapping[str, str]) -> list[str]:
    return [Template(word).substitute(values) for word in words]


def _fragment(known: Mapping[str, Fragment], key: str, value: Setting, *, what: str) -> Words:
    fragment = known[choose(key, known, what=what)]
    return fragment[choose(_shown(value), fragment, what=f"value of {key}")] if isinstance(fragment, dict) else fragment


def _shown(value: Setting) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _toml(name: str, text: str) -> dict[str, Any]:
    try:
        return toml(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"engine profile {name!r} is not TOML: {error}", hint="correct the file") from error


def _remove(table: dict[str, Any], dotted: str, name: str) -> None:
    """Take a key out of the base. A whole method stays until others have its settings."""
    *path, last = dotted.split(".")
    for key in path:
        table = table.get(key, {})
    if last not in table:
        raise InputError(
            f"engine profile {name!r} is without {dotted}, which its base does not have", hint="correct it"
        )
    if path != ["methods"]:
        del table[last]


def _overlaid(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict)
        merged[key] = _overlaid(below[key], value) if both else value
    return merged


def _hint(error: Any, where: str) -> str:
    if error["type"] == "extra_forbidden":
        table = Method if where.startswith("methods.") else Profile
        close = get_close_matches(where.rpartition(".")[2], table.model_fields, n=1)
        return f"did you mean {close[0]}?" if close else f"known keys: {', '.join(table.model_fields)}"
    return "compare it with the profiles in specbench/engines/profiles"


def _check_placeholders(profile: Profile) -> None:
    """Words know the models, the port and the settings that have a default; a setting's words also know the setting."""
    tables: dict[str, _Table] = {f"method {name}": method for name, method in profile.methods.items()}
    for what, table in {"the profile": profile, **tables}.items():
        texts: list[tuple[set[str], Words]] = [(set(table.defaults), table.argv)]
        texts += [({"type", "types"}, table.types)] if isinstance(table, Profile) else []
        texts += [(set(), table.argv_with_file)] if isinstance(table, Method) else []
        for key, fragment in table.settings.items():
            texts += [({key}, words) for words in (fragment.values() if isinstance(fragment, dict) else [fragment])]
        for own, words in texts:
            if broken := [word for word in words if not Template(word).is_valid()]:
                raise InputError(f"engine profile {profile.name!r}: {broken[0]!r}", hint="write $$ where $ is meant")
            if unknown := {n for word in words for n in Template(word).get_identifiers()} - _FIXED - own:
                raise InputError(
                    f"engine profile {profile.name!r}: {what} uses the unknown placeholder ${min(unknown)}",
                    hint=f"known: {', '.join(sorted(_FIXED | own))}",
                )
    for name, method in profile.methods.items():
        if method.type is not None and not profile.types:
            raise InputError(
                f"engine profile {profile.name!r}: method {name} has a type, and the profile no types",
                hint="add the words that switch it on, with $types",
            )
        effective_settings(profile, name, method.defaults)  # a default is a setting like any other
    for key, value in profile.defaults.items():
        _fragment(profile.settings, key, value, what=f"engine setting of {profile.name}")
