"""A model as far as speed and memory go: from its file, from a few figures in TOML, or as published rows know it."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from specbench import datafiles, faults
from specbench.errors import InputError
from specbench.models import reference
from specbench.models.facts import KV_BYTES, ModelFacts
from specbench.untrusted import toml

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_KNOWN = re.compile(r"(?P<model>[^/:\s]+)[:\s](?P<quant>[\w-]+)")


@dataclass(frozen=True)
class Described:
    """`read_bytes`: weights that a token reads; None when it cannot be said. The KV cache is in F16.

    `kv_bytes` grow with each token of context, `windowed_bytes` only within the first `window`; None: not known.
    `published`: the model and the quantisation as published rows name them. `assumed`: what nobody read from a file.
    """

    name: str
    file_bytes: float
    read_bytes: float | None
    kv_bytes: float | None
    windowed_bytes: float = 0.0
    window: int | None = None
    dense: bool = True
    format: str = "gguf"
    published: tuple[str, str] | None = None
    assumed: tuple[str, ...] = ()

    def kv(self, context: float) -> float:
        """Bytes of the KV cache of so many tokens; 0 where it is not known."""
        return (self.kv_bytes or 0.0) * context + self.windowed_bytes * min(context, self.window or context)


class _Figures(BaseModel):
    """A described model. `bytes_per_parameter`: of the weights, 0.61 for Q4_K_M; or `file_bytes` in its place."""

    model_config = ConfigDict(extra="forbid")
    name: str
    parameters: Positive | None = None
    bytes_per_parameter: Positive | None = None
    file_bytes: Positive | None = None
    read_bytes: Positive | None = None
    kv_bytes_per_token: Positive | None = None
    dense: bool = True

    @model_validator(mode="after")
    def _sized(self) -> "_Figures":
        if self.file_bytes is None and (self.parameters is None or self.bytes_per_parameter is None):
            raise ValueError("give file_bytes, or parameters and bytes_per_parameter")
        return self


def described(name: str) -> Described:
    """A GGUF, a folder of safetensors, a TOML with figures, or MODEL:QUANT of a published model."""
    path = Path(name)
    if path.suffix == ".toml":
        return _figures(path)
    if path.exists():
        return of_file(reference.read_facts(path))
    table = published_models()
    known = _KNOWN.fullmatch(name)
    if known is None or known["model"] not in table["models"] or known["quant"] not in table["quants"]:
        hint = f"a GGUF, a TOML with its figures (docs/buying.md), or NAME:QUANT; {_nearest(name, table)}"
        raise InputError(f"{name} is not there", hint=hint)
    read = table["quants"][known["quant"]]
    return Described(
        name=f"{known['model']} {known['quant']}",
        file_bytes=read * table["file_share"],
        read_bytes=read,
        kv_bytes=table["kv_bytes_per_token"],
        published=(known["model"], known["quant"]),
        assumed=(f"its sizes are those of results/published/prediction.toml: {read / 1e9:.1f} GB read a token",),
    )


def of_file(facts: ModelFacts) -> Described:
    """What the header says. A file that is named like a published model, and has its quantisation, is taken for it."""
    stem, table, kv = Path(facts.path).name.removesuffix(".gguf"), published_models(), facts.kv
    found = [m for m in table["models"] if stem.lower().startswith(f"{m.lower()}-")]
    exact = [q for q in table["quants"] if stem.lower().endswith(f"-{q.lower()}")]
    model, quant = max(found, key=len, default=None), max(exact, key=len, default=None)
    return Described(
        name=stem,
        file_bytes=facts.file_bytes,
        read_bytes=facts.read_bytes,
        kv_bytes=None if kv is None else (kv.elements - kv.windowed_elements) * KV_BYTES["f16"],
        windowed_bytes=0.0 if kv is None else kv.windowed_elements * KV_BYTES["f16"],
        window=None if kv is None else kv.window,
        dense=not facts.experts,
        format=facts.format,
        published=None if model is None or quant is None else (model, quant),
        assumed=() if kv is not None else (f"the KV cache is not counted: {facts.kv_unknown}",),
    )


def published_models() -> Mapping[str, Any]:
    """`models`, `quants` with the bytes that a token reads, `kv_bytes_per_token`, `file_share`: prediction.toml."""
    sizes = toml((datafiles.path("results/published") / "prediction.toml").read_text(encoding="utf-8"))
    return dict(sizes["sizes"], quants=sizes["bytes"])


def _figures(path: Path) -> Described:
    try:
        given = _Figures.model_validate(toml(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read as TOML: {error}", hint="docs/buying.md shows one") from error
    except ValidationError as error:
        wrong = "; ".join(faults.lines(error, {"": _Figures}))
        raise InputError(f"{path}: {wrong}", hint="docs/buying.md shows a model's figures") from error
    size = given.file_bytes or (given.parameters or 0) * (given.bytes_per_parameter or 0)
    assumed = [f"the size of {given.name} is as {path.name} says: {size / 1e9:.1f} GB"]
    if given.read_bytes is None:
        assumed.append("a token reads " + ("all of it" if given.dense else "a part that is not known"))
    if given.kv_bytes_per_token is None:
        assumed.append("the KV cache is not counted: kv_bytes_per_token is not given")
    read = given.read_bytes or (size if given.dense else None)
    return Described(given.name, size, read, given.kv_bytes_per_token, dense=given.dense, assumed=tuple(assumed))


def _nearest(name: str, table: Mapping[str, Any]) -> str:
    return faults.did_you_mean(name, [f"{m}:{q}" for m in table["models"] for q in ("Q4_K_M", "Q8_0")])
