"""A folder in Hugging Face's layout: config.json, safetensors headers, tokenizer. No weights are read."""

import hashlib
import re
import struct
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any

from specbench.errors import InputError
from specbench.models import kv as kv_cache
from specbench.models.facts import DrafterKind, ModelFacts, Role, Weight, elements_by_type, head_quant, read_bytes
from specbench.models.gguf import refuse_pointer
from specbench.untrusted import decoded, understood

_INDEX, _SINGLE = "model.safetensors.index.json", "model.safetensors"
_BITS = {"F64": 64, "I64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16, "I16": 16}  # others have 8
_PLAIN = frozenset({"F64", "F32", "F16", "BF16"})
_LONGEST_HEADER = 100_000_000  # the format's own limit
_PACKED = re.compile(r"\.(?:qweight|weight_packed)$")
_SIDE = re.compile(r"\.(?:qzeros|scales|g_idx|weight_scale\w*|weight_zero_point|weight_shape|input_scale)$")
_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")
_MTP = re.compile(r"(?:^|\.)mtp(?:\.|_)")
_NUMBERED = re.compile(r"(?:^|\.)mtp\.(\d+)\.")  # DeepSeek-V4
_DRAFTERS: tuple[tuple[str, DrafterKind], ...] = (
    ("domino", "domino"),
    ("dspark", "dspark"),
    ("dflash", "dflash"),
    ("eagle3", "eagle3"),
    ("eagle", "eagle"),
    ("medusa", "medusa"),
    ("assistantforcausallm", "mtp"),
)


def read_facts(folder: Path) -> ModelFacts:
    """What the model in `folder` is. InputError for what is missing or damaged."""
    with understood(folder, hint="download it again"):
        return _facts(folder)


def _facts(folder: Path) -> ModelFacts:
    config = _json(folder / "config.json", hint="give a GGUF file, or a folder with config.json and *.safetensors")
    named = config.get("architectures") or [config.get("model_type")]
    if not isinstance(named, list) or not named or not isinstance(named[0], str):
        raise InputError(
            f"{folder / 'config.json'} names no architecture", hint="take config.json from the model's repository"
        )
    text = {**config, **config.get("text_config", {})}
    files = _files(folder)
    tensors = {name: entry for file in files for name, entry in _header(file).items()}
    bits = (config.get("quantization_config") or {}).get("bits")
    trunk = text.get("num_hidden_layers")
    kind = _drafter(named[0], config)
    weights = [_weight(name, entry, trunk=trunk, bits=bits, tensors=tensors) for name, entry in tensors.items()]
    types = elements_by_type(weights)
    experts = next((n for k in ("n_routed_experts", "num_experts", "num_local_experts") if (n := text.get(k))), None)
    used = text.get("num_experts_per_tok")
    head_types, head_bits = head_quant(weights, drafter=kind is not None)
    kv, kv_unknown = kv_cache.of_config(text, tensors)
    tokens = _tokens(folder)
    return ModelFacts(
        path=str(folder),
        architecture=named[0],
        name=config.get("_name_or_path") or folder.name,
        parameters=sum(count for _, count in types) if bits or not config.get("quantization_config") else None,
        file_bytes=sum(file.stat().st_size for file in files),
        quant=(config.get("quantization_config") or {}).get("quant_method") or next((t for t, _ in types), None),
        quantised=any(t not in _PLAIN for t, _ in types),
        context_length=text.get("max_position_embeddings"),
        layers=trunk,
        vocabulary_size=text.get("vocab_size"),
        vocabulary_sha256=hashlib.sha256(b"".join(tokens)).hexdigest() if tokens else None,
        tokenizer_model=None,
        has_chat_template=_has_template(folder),
        nextn_layers=_nextn_present(tensors, trunk),
        drafter=kind,
        format="safetensors",
        files=len(files),
        types=types,
        hidden_size=text.get("hidden_size"),
        experts=experts,
        experts_used=used,
        read_bytes=None if kind else read_bytes(weights, expert_share=used / experts if used and experts else None),
        kv=None if kind else kv,
        kv_unknown=None if kind else kv_unknown,
        nextn_declared=text.get("num_nextn_predict_layers") or text.get("mtp_num_hidden_layers") or 0,
        head_types=head_types,
        head_bits=head_bits,
        target_hidden_size=(text.get("target_hidden_size") or text.get("hidden_size")) if kind else None,
        target_taps=_taps(config) if kind else None,
    )


def _files(folder: Path) -> list[Path]:
    """The weight files that the index names, or all of the folder."""
    if (folder / _INDEX).is_file():
        index = _json(folder / _INDEX, hint="download it again").get("weight_map")
        if not isinstance(index, dict):
            raise InputError(f"{folder / _INDEX} has no weight_map", hint="download it again")
        names, present = sorted(set(index.values())), {file.name for file in folder.iterdir()}
        if missing := [name for name in names if name not in present]:
            raise InputError(
                f"{folder / _INDEX} names files that are not there: {', '.join(missing[:3])}"
                + (f" and {len(missing) - 3} more" if len(missing) > 3 else ""),  # noqa: PLR2004  shown by name
                hint=f"download them into {folder}",
            )
        return [folder / name for name in names]
    found = [folder / _SINGLE] if (folder / _SINGLE).is_file() else sorted(folder.glob("*.safetensors"))
    if not found:
        raise InputError(f"{folder} holds no *.safetensors", hint="download the weights into it")
    return found


def _header(file: Path) -> dict[str, Any]:
    """The tensors of one file: a length in 8 bytes, then JSON; checked against the file's length."""
    try:
        with file.open("rb") as opened:
            start = opened.read(8)
            refuse_pointer(file, start + opened.read(16))
            length = int.from_bytes(start, "little")
            size = file.stat().st_size
            if len(start) < struct.calcsize("<Q") or length > _LONGEST_HEADER:
                raise InputError(f"{file} is not a safetensors file", hint="download it again")
            opened.seek(8)
            header = decoded(opened.read(length)) if 8 + length <= size else None
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}", hint="check its permissions") from error
    except ValueError as error:
        raise InputError(f"{file} is not a safetensors file", hint="download it again") from error
    tensors = {name: entry for name, entry in (header or {}).items() if name != "__metadata__"}
    try:
        end = 8 + length + max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
    except (TypeError, KeyError, IndexError) as error:
        raise InputError(f"{file} is not a safetensors file", hint="download it again") from error
    if end > size:
        raise InputError(f"{file} is truncated: {size} of at least {end} bytes", hint="copy or download the file again")
    return tensors


def _weight(
    name: str, entry: Mapping[str, Any], *, trunk: int | None, bits: int | None, tensors: Mapping[str, Any]
) -> Weight:
    dtype, shape = entry["dtype"], entry["shape"]
    begin, end = entry["data_offsets"]
    elements = prod(shape)
    if bits and _PACKED.search(name):
        dtype, elements = f"INT{bits}", elements * _BITS.get(dtype, 8) // bits
    elif _SIDE.search(name):
        elements = 0  # scales and zero points are no parameters
    return Weight(name, dtype, elements, end - begin, len(shape) > 1, _role(name, trunk, tensors))


def _role(name: str, trunk: int | None, tensors: Mapping[str, Any]) -> Role:
    if _is_head(name, trunk):
        return "head"
    if "embed_tokens" in name:
        return "lookup" if "per_layer" in name or any("lm_head" in other for other in tensors) else "other"
    if name.startswith(("visual.", "model.visual.", "vision_tower.", "audio_tower.")):
        return "lookup"  # not read while text is decoded
    return "expert" if ".experts." in name else "other"


def _is_head(name: str, trunk: int | None) -> bool:
    layer = _LAYER.search(name)
    return bool(_MTP.search(name)) or (layer is not None and trunk is not None and int(layer[1]) >= trunk)


def _nextn_present(tensors: Iterable[str], trunk: int | None) -> int:
    """MTP blocks by their own numbers; heads that are not numbered are one."""
    heads = [name for name in tensors if _is_head(name, trunk)]
    numbers = {int(match[1]) for name in heads if (match := _LAYER.search(name) or _NUMBERED.search(name))}
    return len(numbers) or int(bool(heads))


def _drafter(architecture: str, config: Mapping[str, Any]) -> DrafterKind | None:
    own = config.get("dflash_config") or {}  # a Domino drafter has the architecture of a DFlash one
    words = (architecture, config.get("speculators_model_type", ""), own.get("projector_type", ""))
    named = " ".join(map(str, words)).lower().replace("-", "").replace("_", "")
    return next((kind for word, kind in _DRAFTERS if word in named), None)


def _taps(config: Mapping[str, Any]) -> tuple[int, ...] | None:
    for table in (config, config.get("dflash_config") or {}, config.get("eagle_config") or {}):
        for key in ("target_layer_ids", "eagle_aux_hidden_state_layer_ids"):
            if table.get(key):
                return tuple(table[key])
    return None


def _tokens(folder: Path) -> list[bytes] | None:
    """The tokens in the order of their ids, each with its length before it, as a GGUF holds them."""
    if not (folder / "tokenizer.json").is_file():
        return None
    tokenizer = _json(folder / "tokenizer.json", hint="download it again")
    vocabulary = (tokenizer.get("model") or {}).get("vocab") or {}
    pairs = vocabulary.items() if isinstance(vocabulary, dict) else ((v[0], i) for i, v in enumerate(vocabulary))
    by_id = {number: text for text, number in pairs}
    by_id |= {token["id"]: token["content"] for token in tokenizer.get("added_tokens") or ()}
    encoded = (by_id[number].encode() for number in sorted(by_id))
    return [struct.pack("<Q", len(text)) + text for text in encoded]


def _has_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    settings = folder / "tokenizer_config.json"
    return settings.is_file() and bool(_json(settings, hint="download it again").get("chat_template"))


def _json(file: Path, *, hint: str) -> dict[str, Any]:
    try:
        data = file.read_bytes()
        refuse_pointer(file, data)
        found = decoded(data, constant=float)  # some configurations have infinite limits
    except FileNotFoundError as error:
        raise InputError(f"{file.parent} has no {file.name}", hint=hint) from error
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}", hint="check its permissions") from error
    except ValueError as error:
        raise InputError(f"{file} is not JSON: {error}", hint="download it again") from error
    if not isinstance(found, dict):
        raise InputError(f"{file} is not a JSON object", hint="download it again")
    return found
