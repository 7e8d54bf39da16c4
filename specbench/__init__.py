"""specbench: which speculative-decoding method is fastest, measured.

`specbench.run`, `specbench.load` and `specbench.compare` are the public API (docs/api.md).
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from specbench.api import compare, load, run

__version__ = "0.1.0"
__all__ = ["__version__", "compare", "load", "run"]


def __getattr__(name: str) -> Any:
    """What the API needs is loaded when it is used."""
    if name not in {"compare", "load", "run"}:
        raise AttributeError(name)
    from specbench import api  # noqa: PLC0415

    return getattr(api, name)
