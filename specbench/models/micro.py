"""The embedded model family: trained files in the package, and targets that are derived from them in a second."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from specbench.errors import InputError, UnavailableError
from specbench.models import qwen35

if TYPE_CHECKING:
    import gguf

_VERSION = 2  # raise it when the same kind is derived differently
_TARGET, _MTP_BLOCK = "target-q8_0.gguf", "mtp-q8_0.gguf"
_NEURONS_ARE_ROWS = ("ffn_gate.weight", "ffn_up.weight")
_NEURONS_ARE_COLUMNS = "ffn_down.weight"
_HEAVY = "every FFN neuron 8 times and in F32, so that decoding waits for memory; not a better model"


@dataclass(frozen=True)
class Member:
    """One model of the family: a file of the package, or a kind that `derive` makes of the target."""

    file: str | None
    kind: str | None
    note: str | None


NAMES: Mapping[str, Member] = MappingProxyType(
    {
        "micro": Member(_TARGET, None, "the embedded toy target: so light that a drafter costs more than it saves"),
        "micro-draft": Member("draft-q8_0.gguf", None, None),
        "micro-eagle3": Member("eagle3-q8_0.gguf", None, None),
        "micro-dflash": Member("dflash-q8_0.gguf", None, None),
        "micro-dspark": Member("dspark-q8_0.gguf", None, None),
        "micro-f16": Member(None, "f16", "the embedded toy target in F16"),
        "micro-f32": Member(None, "f32", "the embedded toy target in F32"),
        "micro-mtp": Member(None, "q8_0-mtp", "the embedded toy target and its MTP block as one qwen35 model"),
        "ballast": Member(None, "ballast-8", f"ballast: the function of micro, {_HEAVY}"),
        "ballast-mtp": Member(None, "ballast-8-mtp", f"ballast with an MTP block: the function of micro-mtp, {_HEAVY}"),
    }
)


@dataclass(frozen=True)
class _Kind:
    """`quant` of the matrices, copies of each FFN neuron, and whether the MTP block is in it."""

    quant: str
    copies: int
    mtp: bool


def model_file(name: str, *, weights: Path, cache: Path) -> Path:
    """The GGUF of a member of the family, derived into `cache` when it is not there yet. KeyError for another name."""
    member = NAMES[name]
    return weights / member.file if member.file else derive(member.kind or "", weights=weights, cache=cache)


def derive(kind: str, *, weights: Path, cache: Path) -> Path:
    """The target as `f16`, `f32` or `ballast-N`: F32 with every FFN neuron N times and its output divided by N.

    Any of them, and `q8_0`, with `-mtp` behind it holds the MTP block too, and is of the architecture qwen35.
    """
    wanted = _parsed(kind)
    sources = [weights / name for name in (_TARGET, *([_MTP_BLOCK] if wanted.mtp else []))]
    try:
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    except OSError as error:
        raise InputError(f"cannot read {error.filename}: {error.strerror}", hint="install specbench again") from error
    made = cache / f"micro-{kind}-{digest}-v{_VERSION}.gguf"
    if made.is_file():
        return made
    with being_made(made, what=f"derive the {kind} model into") as unfinished:
        _write(sources, unfinished, wanted, label=kind)
    return made


@contextmanager
def being_made(made: Path, *, what: str) -> Iterator[Path]:
    """Where to write what becomes `made` once it is whole; UnavailableError when the cache cannot hold it."""
    cache = made.parent
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=cache, prefix=".micro-") as folder:
            yield Path(folder) / made.name
            (Path(folder) / made.name).replace(made)
    except OSError as error:
        raise UnavailableError(
            f"cannot {what} {cache}: {error.strerror or error}",
            hint="free some space there, or name another folder in SPECBENCH_CACHE",
        ) from error


def _parsed(kind: str) -> _Kind:
    found = re.fullmatch(r"(?:(f16|f32)|ballast-([1-9][0-9]*))(-mtp)?|(q8_0)-mtp", kind)
    if not found:
        raise InputError(
            f"unknown derived model {kind!r}",
            hint="known: f16, f32, ballast-N, q8_0-mtp, f16-mtp, f32-mtp, ballast-N-mtp",
        )
    plain, copies, mtp, q8_0 = found.groups()
    return _Kind((plain or q8_0 or "f32").upper(), int(copies or 1), bool(mtp or q8_0))


def _write(sources: list[Path], to: Path, kind: _Kind, *, label: str) -> None:
    import gguf  # noqa: PLC0415  0.2 s, and numpy; most runs find the file in the cache
    import numpy as np  # noqa: PLC0415

    target, *blocks = (gguf.GGUFReader(path) for path in sources)
    writer = gguf.GGUFWriter(to, "qwen35" if kind.mtp else "qwen3")
    _copy_metadata(target, writer, kind, label)
    tensors = {t.name: gguf.dequantize(t.data, t.tensor_type) for t in target.tensors}
    layers = target.fields["qwen3.block_count"].contents()
    tensors = _repeated(tensors, kind.copies)
    light: tuple[str, ...] = ()  # layers that stay as they are: the ballast is the target's
    for block in blocks:
        heads, head_dim = (target.fields[f"qwen3.attention.{k}"].contents() for k in ("head_count", "key_length"))
        qwen35.metadata(writer, layers=layers, head_dim=head_dim)
        own = {t.name: gguf.dequantize(t.data, t.tensor_type) for t in block.tensors}
        tensors = qwen35.tensors(tensors, _padded(own, kind.copies), layers=layers, heads=heads)
        light = ("blk.0.", f"blk.{layers + 1}.") if kind.copies > 1 else ()
    for name, values in tensors.items():
        quant = "F32" if values.ndim == 1 or "conv1d" in name else "Q8_0" if name.startswith(light) else kind.quant
        if quant == "Q8_0":
            writer.add_tensor(
                name, gguf.quantize(values, gguf.GGMLQuantizationType.Q8_0), raw_dtype=gguf.GGMLQuantizationType.Q8_0
            )
        else:
            writer.add_tensor(name, values.astype(np.float16) if quant == "F16" else values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _copy_metadata(target: "gguf.GGUFReader", writer: "gguf.GGUFWriter", kind: _Kind, label: str) -> None:
    import gguf  # noqa: PLC0415  as above

    for key, field in target.fields.items():
        if key.startswith("GGUF.") or key in ("general.architecture", "general.file_type"):
            continue
        value: Any = field.contents()
        if key == "general.name":
            value = f"{value}-{label}"
        elif key == "qwen3.feed_forward_length":
            value *= kind.copies
        elif key == "qwen3.block_count" and kind.mtp:
            value += 2
        array = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(key.replace("qwen3.", f"{writer.arch}.", 1), value, field.types[0], array)
    types = {"F16": gguf.LlamaFileType.MOSTLY_F16, "Q8_0": gguf.LlamaFileType.MOSTLY_Q8_0}
    writer.add_file_type(types.get(kind.quant, gguf.LlamaFileType.ALL_F32))


def _repeated(tensors: "qwen35.Tensors", copies: int) -> "qwen35.Tensors":
    """Every FFN neuron `copies` times, its output divided by their number."""
    import numpy as np  # noqa: PLC0415  as above

    found = dict(tensors)
    for name, values in tensors.items():
        if name.endswith(_NEURONS_ARE_ROWS):
            found[name] = np.repeat(values, copies, axis=0)
        elif name.endswith(_NEURONS_ARE_COLUMNS):
            found[name] = np.repeat(values, copies, axis=1) / np.float32(copies)
    return found


def _padded(tensors: "qwen35.Tensors", copies: int) -> "qwen35.Tensors":
    """The FFN made as wide as `_repeated` makes it, with neurons that do nothing: all layers of a file are as wide."""
    import numpy as np  # noqa: PLC0415  as above

    found = dict(tensors)
    for name, values in tensors.items():
        if name.endswith(_NEURONS_ARE_ROWS):
            found[name] = np.pad(values, ((0, values.shape[0] * (copies - 1)), (0, 0)))
        elif name.endswith(_NEURONS_ARE_COLUMNS):
            found[name] = np.pad(values, ((0, 0), (0, values.shape[1] * (copies - 1))))
    return found
