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
# What every word of a profile may use. An engine that divides its context among its streams takes `whole_context`.
_FIXED = {"target_model", "draft_model", "streams", "whole_context", *_OPEN}


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    argv: Words = ()
    settings: dict[str, Fragment] = {}


class Method(_Table):
    """How one method is switched on. `learns`: the drafter carries what it saw from one request to the next.

    `needs`: the kind of drafter file; for `mtp`, heads in the target's own file. `settings_of`: another method whose
    settings this one has too.
    """

    defaults: dict[str, Setting] = {}
    needs: Drafter | None = None
    settings_of: str | None = None
    learns: bool = False


class Profile(_Table):
    """An engine as data. `help` are the words after the executable that print its flags; empty: it cannot tell."""

    name: str
    title: str
    kind: Literal["server", "attach", "xllamacpp"]
    executable: str | None = None
    help: Words = ()
    environment: dict[str, str] = {}
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


def effective_settings(profile: Profile, method: str, settings: Mapping[str, Setting]) -> dict[str, Setting]:
    """The method's defaults with `settings` over them: all that a record must show. InputError for an unknown one.

    Without the defaults for an engine that is attached to: how that was started is known only from the user.
    """
    chosen = profile.methods[choose(method, profile.methods, what=f"method of {profile.name}")]
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
) -> tuple[Words, dict[str, str]]:
    """The words after the executable, `$port` still open, and the environment. Both empty for kind `attach`."""
    chosen = profile.methods[choose(method, profile.methods, what=f"method of {profile.name}")]
    if chosen.needs not in {None, "mtp"} and draft_model is None and profile.kind != "attach":
        raise InputError(
            f"{method} needs a drafter file ({chosen.needs})",
            hint="name it with --draft-model, or leave the method out",
        )
    if profile.kind == "attach":
        effective_settings(profile, method, settings)
        return (), {}
    effective = effective_settings(profile, method, settings)
    fixed = {**_OPEN, "target_model": target_model, "draft_model": draft_model, "streams": streams}
    if (size := engine_settings.get("context_size")) is not None:
        if not str(size).isdigit():
            raise InputError(f"context_size is {size!r}, no number of tokens", hint="write it as 8192")
        fixed["whole_context"] = int(size) * streams
    values = {**fixed, **engine_settings, **effective}
    words = [
        *profile.argv,
        *_words(profile.settings, engine_settings, what=f"engine setting of {profile.name}"),
        *chosen.argv,
        *_words(chosen.settings, effective, what=f"setting of {method} on {profile.name}"),
    ]
    shown = {key: _shown(value) for key, value in values.items() if value is not None}
    return (*(Template(word).substitute(shown) for word in words), *engine_args), dict(profile.environment)


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


def _words(known: Mapping[str, Fragment], given: Mapping[str, Setting], *, what: str) -> list[str]:
    return [word for key, value in given.items() for word in _fragment(known, key, value, what=what)]


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
        for key, fragment in table.settings.items():
            texts += [(key, words) for words in (fragment.values() if isinstance(fragment, dict) else [fragment])]
        for key, words in texts:
            if unknown := {n for word in words for n in Template(word).get_identifiers()} - _FIXED - {key}:
                raise InputError(
                    f"engine profile {profile.name!r}: {what} uses the unknown placeholder ${min(unknown)}",
                    hint=f"known: {', '.join(sorted(_FIXED | {key} - {''}))}",
                )
    for name, method in profile.methods.items():
        effective_settings(profile, name, method.defaults)  # a default is a setting like any other
