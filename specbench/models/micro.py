"""The embedded model family: two trained files in the package, and targets that are derived from them in a second."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import MappingProxyType
from typing import Any

from specbench.errors import InputError, UnavailableError

_VERSION = 2  # raise it when the same kind is derived differently
_NEURONS_ARE_ROWS = ("ffn_gate.weight", "ffn_up.weight")
_NEURONS_ARE_COLUMNS = "ffn_down.weight"


@dataclass(frozen=True)
class Member:
    """One model of the family: a file of the package, or a kind that `derive` makes of the target."""

    file: str | None
    kind: str | None
    note: str | None


NAMES: Mapping[str, Member] = MappingProxyType(
    {
        "micro": Member("target-q8_0.gguf", None, "the embedded toy target: drafting costs more than it saves"),
        "micro-draft": Member("draft-q8_0.gguf", None, None),
        "micro-f16": Member(None, "f16", "the embedded toy target in F16"),
        "micro-f32": Member(None, "f32", "the embedded toy target in F32"),
        "ballast": Member(
            None,
            "ballast-8",
            "ballast: the function of micro, every FFN neuron 8 times and in F32, so that decoding waits for memory; "
            "not a better model",
        ),
    }
)


def model_file(name: str, *, weights: Path, cache: Path) -> Path:
    """The GGUF of a member of the family, derived into `cache` when it is not there yet. KeyError for another name."""
    member = NAMES[name]
    return weights / member.file if member.file else derive(member.kind or "", weights=weights, cache=cache)


def derive(kind: str, *, weights: Path, cache: Path) -> Path:
    """The target as `f16`, `f32` or `ballast-N`: F32 with every FFN neuron N times and its output divided by N."""
    source = weights / "target-q8_0.gguf"
    prefix, _, number = kind.partition("-")
    if kind not in ("f16", "f32") and not (prefix == "ballast" and number.isdecimal() and int(number) > 0):
        raise InputError(f"unknown derived model {kind!r}", hint="known: f16, f32, ballast-N")
    try:
        digest = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    except OSError as error:
        raise InputError(f"cannot read {source}: {error.strerror}", hint="install specbench again") from error
    made = cache / f"micro-{kind}-{digest}-v{_VERSION}.gguf"
    if made.is_file():
        return made
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=cache, prefix=f".{made.name}.", delete=False) as file:
            unfinished = Path(file.name)
        try:
            _write(source, unfinished, half=kind == "f16", copies=int(number or 1), label=kind)
            unfinished.replace(made)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise UnavailableError(
            f"cannot derive the {kind} model into {cache}: {error.strerror or error}",
            hint="free some space there, or name another folder in SPECBENCH_CACHE",
        ) from error
    return made


def _write(source: Path, to: Path, *, half: bool, copies: int, label: str) -> None:
    import gguf  # noqa: PLC0415  0.2 s, and numpy; most runs find the file in the cache
    import numpy as np  # noqa: PLC0415

    reader = gguf.GGUFReader(source)
    architecture = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(to, architecture)
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key in ("general.architecture", "general.file_type"):
            continue
        kind = field.types[0]
        value: Any = field.contents()
        if key == "general.name":
            value = f"{value}-{label}"
        elif key == f"{architecture}.feed_forward_length":
            value *= copies
        writer.add_key_value(key, value, kind, field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16 if half else gguf.LlamaFileType.ALL_F32)
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        if tensor.name.endswith(_NEURONS_ARE_ROWS):
            values = np.repeat(values, copies, axis=0)
        elif tensor.name.endswith(_NEURONS_ARE_COLUMNS):
            values = np.repeat(values, copies, axis=1) / np.float32(copies)
        writer.add_tensor(tensor.name, values.astype(np.float16) if half and values.ndim > 1 else values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
