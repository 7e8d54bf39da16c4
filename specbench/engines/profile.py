"""Engine profile + contender -> the words that start the engine. Profiles are data: no conditions, no expressions."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from string import Template
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from specbench.errors import InputError
from specbench.records import Setting

Words = tuple[str, ...]
Drafter = Literal["draft-model", "eagle3", "dflash", "dspark", "mtp"]
Fragment = Words | dict[str, Words]  # words with $placeholders, or one list of words for each allowed value

_OPEN = {"port": "$port"}  # filled in when the engine starts
_FIXED = {"target_model", "draft_model", *_OPEN}  # what every word of a profile may use


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    argv: Words = ()
    settings: dict[str, Fragment] = {}


class Method(_Table):
    """How one method is switched on. `learns`: the drafter carries what it saw from one request to the next.

    `type`: its name in the profile's `types`; methods that have one can be combined. `needs`: the kind of drafter file;
    `mtp` are heads in the target's own file or in one beside it, and `argv_with_file` are the words for the second.
    `settings_of`: another method whose settings this one has too.
    """

    type: str | None = None
    defaults: dict[str, Setting] = {}
    needs: Drafter | None = None
    argv_with_file: Words = ()
    settings_of: str | None = None
    learns: bool = False


class Profile(_Table):
    """An engine as data. `help` are the words after the executable that print its flags; empty: it cannot tell.

    `types`: the words that switch methods on, `$types` being a comma list. `reads`: the format of the
    models that it loads.
    """

    name: str
    title: str
    kind: Literal["server", "attach", "xllamacpp"]
    reads: Literal["gguf", "safetensors"] = "gguf"
    executable: str | None = None
    help: Words = ()
    environment: dict[str, str] = {}
    types: Words = ()
    methods: dict[str, Method]


def parse_profile(name: str, text: str, *, bases: Mapping[str, str]) -> Profile:
    """The profile in `text`. `extends` names one of `bases` (TOML texts), whose tables are overlaid key by key."""
    values = _toml(name, text)
    if (base := values.pop("extends", None)) is not None:
        below = _toml(base, bases[choose(str(base), bases, what="engine profile")])
        if "extends" in below:
            raise InputError(
                f"engine profile {name!r} extends {base!r}, which extends another", hint="extend that one directly"
            )
        values = _overlaid(below, values)
    try:
        profile = _with_shared_settings(Profile.model_validate({"title": name, **values, "name": name}))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"engine profile {name!r}: {where}: {first['msg']}", hint=_hint(first, where)) from error
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
    if alone := [part for part, method in parts.items() if method.type is None]:
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
) -> tuple[Words, dict[str, str]]:
    """The words after the executable, `$port` still open, and the environment. Both empty for kind `attach`."""
    chosen = find_method(profile, method)
    if chosen.needs not in {None, "mtp"} and draft_model is None and profile.kind != "attach":
        raise InputError(
            f"{method} needs a drafter file ({chosen.needs})",
            hint="name it with --draft-model, or leave the method out",
        )
    effective = effective_settings(profile, method, settings)
    if profile.kind == "attach":
        return (), {}
    fixed = {**_OPEN, "target_model": target_model, "draft_model": draft_model or "", "types": chosen.type or ""}
    fixed |= {key: _shown(value) for key, value in engine_settings.items()}
    words = [
        *_filled(profile.argv, fixed),
        *_words(profile.settings, engine_settings, fixed, what=f"engine setting of {profile.name}"),
        *_filled(profile.types if chosen.type else (), fixed),
        *_filled(chosen.argv, fixed),
        *_filled(chosen.argv_with_file if draft_model is not None else (), fixed),
        *_words(chosen.settings, effective, fixed, what=f"setting of {method} on {profile.name}"),
        *engine_args,
    ]
    return tuple(words), dict(profile.environment)


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
        if line.startswith("-"):
            flags = re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", re.split(r"\s{2,}(?![\s-])", line, maxsplit=1)[0])
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
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"engine profile {name!r} is not TOML: {error}", hint="correct the file") from error


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
    """Fixed words know the models and the port; a setting's words also know the setting."""
    tables: dict[str, _Table] = {f"method {name}": method for name, method in profile.methods.items()}
    for what, table in {"the profile": profile, **tables}.items():
        texts: list[tuple[str, Words]] = [("", table.argv)]
        texts += [("types", table.types)] if isinstance(table, Profile) else []
        texts += [("", table.argv_with_file)] if isinstance(table, Method) else []
        for key, fragment in table.settings.items():
            texts += [(key, words) for words in (fragment.values() if isinstance(fragment, dict) else [fragment])]
        for key, words in texts:
            if unknown := {n for word in words for n in Template(word).get_identifiers()} - _FIXED - {key}:
                raise InputError(
                    f"engine profile {profile.name!r}: {what} uses the unknown placeholder ${min(unknown)}",
                    hint=f"known: {', '.join(sorted(_FIXED | {key} - {''}))}",
                )
    for name, method in profile.methods.items():
        if method.type is not None and not profile.types:
            raise InputError(
                f"engine profile {profile.name!r}: method {name} has a type, and the profile no types",
                hint="add the words that switch it on, with $types",
            )
        effective_settings(profile, name, method.defaults)  # a default is a setting like any other
