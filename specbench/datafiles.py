"""Where the packaged data lie: suites, hardware profiles, the embedded model family, published results.

In an installed wheel they are inside the package, in a source checkout beside it.
"""

import os
import sys
from pathlib import Path

from specbench.errors import InputError

_PACKAGE = Path(__file__).resolve().parent


def path(relative: str) -> Path:
    """The file or folder `relative`, e.g. `micro/weights/target-q8_0.gguf`; InputError when it is missing."""
    for root in (_PACKAGE / "data", _PACKAGE.parent):
        if (root / relative).exists():
            return root / relative
    raise InputError(f"this installation has no {relative}", hint="install specbench again, e.g. `pip install .`")


def texts(folder: Path, suffix: str = ".toml") -> dict[str, str]:
    """Name -> text of the files in `folder` with that suffix, sorted by name. InputError when it cannot be read."""
    try:
        return {file.name: file.read_text(encoding="utf-8") for file in sorted(folder.glob(f"*{suffix}"))}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {folder}: {error}", hint="check the path and its permissions") from error


def cache_folder() -> Path:
    """Where derived models are kept: $SPECBENCH_CACHE, or the user's cache folder on this system."""
    if chosen := os.environ.get("SPECBENCH_CACHE"):
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "specbench"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "specbench"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "specbench"
