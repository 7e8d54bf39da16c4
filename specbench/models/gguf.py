"""The header of a GGUF, read without touching the weights. Vocabularies stay as bytes until somebody asks for them."""

import hashlib
import mmap
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, TypeVar

from specbench.errors import InputError
from specbench.models import kv as kv_cache
from specbench.models.facts import DrafterKind, ModelFacts, Role, Weight, elements_by_type, head_quant, read_bytes
from specbench.models.ggml import FILE_TYPES, MTP_GRAPHS, TENSOR_TYPES, UNQUANTISED
from specbench.untrusted import understood

_T = TypeVar("_T")
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_MOST_TEXTS = 2**22  # in one list; vocabularies and their merges have less than a million
_VERSIONS = (2, 3)
_BIG_ENDIAN = 2**16  # a small version with its bytes swapped is above this
_SHORT = 64  # longer arrays stay packed
_MOST_DIMENSIONS = 8
_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
_BLOCK = re.compile(r"blk\.(\d+)\.")
_NEXTN = re.compile(r"blk\.(\d+)\.nextn\.(?:eh_proj|pre_projection)")
_LFS = b"version https://git-lfs"


@dataclass(frozen=True)
class PackedArray:
    """A long array as it lies in the file; strings are length-prefixed."""

    kind: int
    count: int
    data: bytes

    def __iter__(self) -> Iterator[Any]:
        """The elements; strings with undecodable bytes replaced."""
        return (raw.decode("utf-8", "replace") for raw in self.strings()) if self.kind == _STRING else self._scalars()

    def strings(self) -> Iterator[bytes]:
        """The elements of an array of strings."""
        position = 0
        for _ in range(self.count):
            (length,) = struct.unpack_from("<Q", self.data, position)
            yield self.data[position + 8 : position + 8 + length]
            position += 8 + length

    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    def _scalars(self) -> Iterator[Any]:
        return (value for (value,) in struct.iter_unpack("<" + _SCALARS[self.kind], self.data))


@dataclass(frozen=True)
class Tensor:
    """`shape` is ggml's order, the contiguous dimension first; `bytes` is None for a type that only a fork knows."""

    name: str
    shape: tuple[int, ...]
    type: str
    offset: int
    bytes: int | None

    @property
    def elements(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True)
class GgufHeader:
    """`values` are the key-value pairs; arrays of more than 64 elements, and all of strings, are PackedArrays."""

    path: Path
    version: int
    values: dict[str, Any]
    tensors: tuple[Tensor, ...]
    file_bytes: int

    def value(self, key: str) -> Any:
        """The value of `key`, or of `key` below the architecture's name; None when absent."""
        found = self.values.get(key)
        return found if found is not None else self.values.get(f"{self.values.get('general.architecture')}.{key}")

    @property
    def vocabulary(self) -> PackedArray | None:
        """The tokens; None where there are none, or what is called so is no text."""
        found = self.values.get("tokenizer.ggml.tokens")
        return found if isinstance(found, PackedArray) and found.kind == _STRING else None


class _EndOfFileError(Exception):
    """More was promised than the file holds; carries the position that was wanted."""


class _Cursor:
    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.at, self.size = data, 0, len(data)

    def skip(self, count: int) -> int:
        """The position before moving on by `count` bytes."""
        before = self.at
        if before + count > self.size:
            raise _EndOfFileError(before + count)
        self.at = before + count
        return before

    def scalar(self, code: str) -> Any:
        return struct.unpack_from("<" + code, self.data, self.skip(struct.calcsize("<" + code)))[0]

    def text(self) -> str:
        length = self.scalar("Q")
        start = self.skip(length)
        return self.data[start : start + length].decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text()
        if kind in _SCALARS:
            return self.scalar(_SCALARS[kind])
        of, count = (self.scalar("I"), self.scalar("Q")) if kind == _ARRAY else (None, 0)
        if of != _STRING and of not in _SCALARS:
            raise ValueError(f"a value of type {kind}" if of is None else f"an array of type {of}")
        return self.packed(of, count) if of == _STRING or count > _SHORT else [self.value(of) for _ in range(count)]

    def packed(self, of: int, count: int) -> PackedArray:
        start = self.at
        if of == _STRING:
            if count > _MOST_TEXTS:
                raise ValueError(f"a list of {count:,} texts")
            at, data, size, length_of = start, self.data, self.size, struct.Struct("<Q").unpack_from
            for _ in range(count):
                if at + 8 > size:
                    raise _EndOfFileError(at + 8)
                at += 8 + length_of(data, at)[0]
            self.skip(at - start)
        else:
            self.skip(count * struct.calcsize("<" + _SCALARS[of]))
        return PackedArray(of, count, self.data[start : self.at])


def read_header(path: Path) -> GgufHeader:
    """The header of one file, checked against the file's length. InputError for anything that is not a whole GGUF."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_LFS))
            refuse_pointer(path, start)
            if start[:4] != b"GGUF":
                raise InputError(f"{path} is not a GGUF file", hint="give a model in GGUF format (llama.cpp's)")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _parse(path, _Cursor(data))
    except FileNotFoundError as error:
        raise InputError(f"there is no model file {path}", hint="check the path") from error
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder", hint="give the GGUF file in it") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}", hint="check its permissions") from error


def refuse_pointer(path: Path, start: bytes) -> None:
    """InputError when a file that begins so is what Git leaves where the large file was not fetched."""
    if start.startswith(_LFS):
        raise InputError(f"{path} is a Git LFS pointer, not the model", hint="run `git lfs pull` in its repository")


def _parse(path: Path, cursor: _Cursor) -> GgufHeader:
    try:
        cursor.skip(4)
        version = _version(path, cursor.scalar("I"))
        tensor_count, value_count = cursor.scalar("Q"), cursor.scalar("Q")
        values = _by_name(value_count, lambda: (cursor.text(), cursor.value(cursor.scalar("I"))))
        tensors = _by_name(tensor_count, lambda: ((tensor := _tensor(cursor)).name, tensor))
    except _EndOfFileError as error:
        raise _truncated(path, cursor.size, error.args[0]) from error
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise InputError(
            f"{path} is a GGUF that specbench cannot read: {error}", hint="convert or download the model again"
        ) from error
    alignment = values.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment <= 0:
        raise InputError(f"{path} is damaged: its alignment is {alignment!r}", hint="download the model again")
    start = -(-cursor.at // alignment) * alignment
    end = max((start + t.offset + (t.bytes or 0) for t in tensors.values()), default=0)
    if end > cursor.size:
        raise _truncated(path, cursor.size, end)
    return GgufHeader(path, version, values, tuple(tensors.values()), cursor.size)


def _by_name(count: int, read: Callable[[], tuple[str, _T]]) -> dict[str, _T]:
    """ValueError for a name that comes twice, as in a file of nothing but zeros, of which much can be promised."""
    found: dict[str, _T] = {}
    for _ in range(count):
        name, value = read()
        if name in found:
            raise ValueError(f"{name!r} twice")
        found[name] = value
    return found


def _version(path: Path, number: int) -> int:
    if _VERSIONS[-1] < number < _BIG_ENDIAN:
        raise InputError(
            f"{path} is a GGUF of version {number}, newer than the {_VERSIONS[-1]} that specbench reads",
            hint="install a newer specbench, or convert the model with an older llama.cpp",
        )
    if number not in _VERSIONS:
        raise ValueError(f"version {number}" if number < _BIG_ENDIAN else "big-endian numbers")
    return number


def _tensor(cursor: _Cursor) -> Tensor:
    name = cursor.text()
    dimensions = cursor.scalar("I")
    if dimensions > _MOST_DIMENSIONS:
        raise ValueError(f"tensor {name!r} has {dimensions} dimensions")
    shape = tuple(cursor.scalar("Q") for _ in range(dimensions))
    type_id, offset = cursor.scalar("I"), cursor.scalar("Q")
    kind, elements, size = TENSOR_TYPES.get(type_id, (f"type {type_id}", 0, 0))
    return Tensor(name, shape, kind, offset, prod(shape) // elements * size if elements else None)


def _truncated(path: Path, have: int, want: int) -> InputError:
    return InputError(f"{path} is truncated: {have} of at least {want} bytes", hint="copy or download the file again")


def parts(path: Path) -> tuple[Path, ...]:
    """All files of a split model; the file itself when it is not split. InputError for a part that is not the first."""
    match = _PART.search(path.name)
    if match is None:
        return (path,)
    count, stem = int(match[2]), path.name[: match.start()]
    files = tuple(path.with_name(f"{stem}-{i:05}-of-{count:05}.gguf") for i in range(1, count + 1))
    if int(match[1]) != 1:
        raise InputError(f"{path} is part {int(match[1])} of {count}", hint=f"give the first part: {files[0].name}")
    if missing := [file.name for file in files if not file.is_file()]:
        raise InputError(f"parts of the split model are missing: {', '.join(missing)}", hint=f"put them beside {path}")
    return files


def read_facts(path: Path) -> ModelFacts:
    """What the model is. Every part of a split file is checked."""
    return facts_of([read_header(part) for part in parts(path)])


def facts_of(headers: Sequence[GgufHeader]) -> ModelFacts:
    """What the model is whose parts have these headers. InputError where a value is of the wrong kind."""
    with understood(headers[0].path, hint="convert or download the model again"):
        return _facts(headers)


def _facts(headers: Sequence[GgufHeader]) -> ModelFacts:
    first = headers[0]
    path = first.path
    architecture = first.values.get("general.architecture")
    if not isinstance(architecture, str):
        raise InputError(f"{path} names no architecture", hint="it is no language model; give the model's GGUF")
    tensors = [tensor for header in headers for tensor in header.tensors]
    drafter, taps = _drafter(first, tensors), first.value("target_layers")
    layers, declared = first.value("block_count"), first.value("nextn_predict_layers") or 0
    trunk = layers - declared if isinstance(layers, int) else None
    weights = _weights(tensors, trunk=0 if drafter == "mtp" else trunk)
    types = elements_by_type(weights)
    quantised = any(kind not in UNQUANTISED for kind, _ in types)
    stated = FILE_TYPES.get(first.values.get("general.file_type", -1))
    agrees = stated is not None and (stated not in UNQUANTISED) == quantised  # some converters state a wrong type
    vocabulary = first.vocabulary
    experts, used = first.value("expert_count"), first.value("expert_used_count")
    used = used if isinstance(used, int) else None
    head_types, head_bits = head_quant(weights, drafter=drafter is not None)
    kv, kv_unknown = kv_cache.of_gguf(
        first.value, [t.name for t in tensors], layers=trunk, hidden_size=first.value("embedding_length")
    )
    return ModelFacts(
        path=str(path),
        architecture=architecture,
        name=first.value("general.name"),
        parameters=sum(count for _, count in types),
        file_bytes=sum(header.file_bytes for header in headers),
        quant=stated if agrees else next((kind for kind, _ in types), None),
        quantised=quantised,
        context_length=first.value("context_length"),
        layers=layers,
        vocabulary_size=vocabulary.count if vocabulary else first.value("vocab_size"),
        vocabulary_sha256=vocabulary.sha256() if vocabulary else None,
        tokenizer_model=first.value("tokenizer.ggml.model"),
        has_chat_template="tokenizer.chat_template" in first.values,
        nextn_layers=0 if drafter == "mtp" else len(_nextn_blocks(tensors)),
        drafter=drafter,
        files=len(headers),
        types=types,
        hidden_size=first.value("embedding_length"),
        experts=experts or None,
        experts_used=used,
        read_bytes=None if drafter else read_bytes(weights, expert_share=used / experts if used and experts else None),
        kv=None if drafter else kv,
        kv_unknown=None if drafter else kv_unknown,
        nextn_declared=declared,
        nextn_drafts=architecture in MTP_GRAPHS,
        head_types=head_types,
        head_bits=head_bits,
        target_hidden_size=_target_hidden_size(first, drafter),
        target_taps=None if taps is None else tuple(taps),
        # The first of a DFlash block is the token before the draft.
        draft_tokens_most=None if (block := first.value("block_size")) is None else block - (drafter == "dflash"),
        embeds=bool(first.value("pooling_type")),
    )


def _drafter(header: GgufHeader, tensors: Sequence[Tensor]) -> DrafterKind | None:
    """What kind of drafter the file is: by its architecture, or heads without the blocks before them."""
    architecture = header.values.get("general.architecture")
    names = {tensor.name for tensor in tensors}
    if architecture == "dflash":  # llama.cpp's rule: DSpark is a DFlash file with a Markov head
        return "dspark" if any(name.startswith("markov_w1") for name in names) else "dflash"
    if architecture == "eagle3":
        return "eagle3"
    heads_alone = bool(header.value("nextn_predict_layers")) and "blk.0.attn_norm.weight" not in names
    return "mtp" if architecture == "gemma4-assistant" or (heads_alone and _nextn_blocks(tensors)) else None


def _nextn_blocks(tensors: Iterable[Tensor]) -> set[int]:
    """The numbers of the MTP blocks that are really there."""
    return {int(match[1]) for tensor in tensors if (match := _NEXTN.match(tensor.name))}


def _target_hidden_size(header: GgufHeader, drafter: DrafterKind | None) -> int | None:
    """The width of the target's hidden states that the drafter takes in: its own where it states no other."""
    stated = {"eagle3": "target_hidden_size", "mtp": "embedding_length_out"}.get(drafter or "", "embedding_length")
    return (header.value(stated) or header.value("embedding_length")) if drafter else None


def _weights(tensors: Iterable[Tensor], *, trunk: int | None) -> tuple[Weight, ...]:
    tensors = list(tensors)
    tied = all(tensor.name != "output.weight" for tensor in tensors)

    def role(name: str) -> Role:
        block = _BLOCK.match(name)
        if block and ((trunk is not None and int(block[1]) >= trunk) or ".nextn." in name):
            return "head"
        if "token_embd" in name or name.startswith(("position_embd", "token_types")):
            return "other" if tied and name == "token_embd.weight" else "lookup"
        return "expert" if "_exps." in name else "other"

    return tuple(Weight(t.name, t.type, t.elements, t.bytes, len(t.shape) > 1, role(t.name)) for t in tensors)
