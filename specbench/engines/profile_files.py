"""The engine profiles as they lie on disk: the packaged ones, and those of the user."""

from pathlib import Path

from specbench import datafiles
from specbench.engines.profile import Profile, parse_profile
from specbench.errors import InputError

_PROFILES = Path(__file__).with_name("profiles")


def profiles(extra: Path | None) -> dict[str, Profile]:
    """The packaged profiles, and those in the folder `extra`, which may extend or replace them."""
    packaged = _texts(_PROFILES)
    own = _texts(extra) if extra is not None else {}
    if extra is not None and not own:
        raise InputError(f"{extra} holds no engine profile", hint="put NAME.toml files there")
    return {name: parse_profile(name, text, bases=packaged) for name, text in {**packaged, **own}.items()}


def _texts(folder: Path) -> dict[str, str]:
    return {Path(name).stem: text for name, text in datafiles.texts(folder).items()}
