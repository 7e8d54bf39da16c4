"""How much the KV cache grows with a token. Which layers keep keys and values is seen from their tensors."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from specbench.models.facts import KvCache
from specbench.models.ggml import SWA_PERIODS

Answer = tuple[KvCache | None, str | None]  # the cache, or why it cannot be said

_ATTENDS = ("attn_k.", "attn_qkv.", "attn_kv_a_mqa.", "k_proj.", "qkv_proj.", "kv_a_proj_with_mqa.", "query_key_value.")
_RECURRENT = ("ssm_", "shortconv.", "time_mix_", "linear_attn.", "mamba.", "conv.conv.", "A_log", "mixer.conv1d")
_OTHER_CACHE = ("indexer", "attn_compress", "compressor")
_MOST_LAYERS = 10_000
_LAYER = re.compile(r"(?:blk|layers|h|blocks)\.(\d+)\.(.*)")


def of_gguf(value: Any, names: Iterable[str], *, layers: int | None, hidden_size: int | None) -> Answer:
    """From the key-value pairs of a GGUF (`value` looks one up) and the names of its tensors; `layers` without MTP."""
    heads = value("attention.head_count")
    if not isinstance(layers, int) or not 0 <= layers <= _MOST_LAYERS or not isinstance(hidden_size, int):
        return None, "the header states no layers or no width"
    kv_heads = _each(
        value("attention.head_count_kv") if value("attention.head_count_kv") is not None else heads, layers
    )
    first = next((h for h in _each(heads, layers) or () if h), None)
    width = hidden_size // first if first else 0
    keys, values = (value(f"attention.{side}_length") or width for side in ("key", "value"))
    window, pattern = value("attention.sliding_window"), value("attention.sliding_window_pattern")
    architecture = value("general.architecture")
    if pattern is None or isinstance(pattern, int):
        known, dense_first = SWA_PERIODS.get(architecture, (None, False))
        period = pattern or known
        if window and period is None:
            return None, f"which layers of {architecture} have a sliding window is not in the header"
        pattern = [i % period != 0 if dense_first else i % period < period - 1 for i in range(layers)] if period else []
    windowed = [bool(window) and i < len(flags) and bool(flags[i]) for flags in (list(pattern),) for i in range(layers)]
    swa = [value(f"attention.{side}_length_swa") or full for side, full in (("key", keys), ("value", values))]
    mla = value("attention.key_length_mla") is not None  # llama.cpp keeps the compressed keys only, and no values
    sizes = [
        (kv_heads[i] if kv_heads else 0) * (keys if mla else sum(swa) if windowed[i] else keys + values)
        for i in range(layers)
    ]
    return _cache(names, sizes, windowed, window=window, shared=value("attention.shared_kv_layers") or 0)


def of_config(config: Mapping[str, Any], names: Iterable[str]) -> Answer:
    """From a config.json (of the text model) and the names of the tensors."""
    layers, heads, hidden = (config.get(k) for k in ("num_hidden_layers", "num_attention_heads", "hidden_size"))
    if not isinstance(layers, int) or not 0 <= layers <= _MOST_LAYERS or not isinstance(hidden, int):
        return None, "config.json states no layers or no width"
    if (rank := config.get("kv_lora_rank")) is not None:
        size = rank + config.get("qk_rope_head_dim", 0)
    else:
        width = config.get("head_dim") or (hidden // heads if heads else 0)
        size = 2 * (config.get("num_key_value_heads") or heads or 0) * width
    kinds, window = config.get("layer_types"), config.get("sliding_window")
    if window and config.get("use_sliding_window", True) and kinds is None:
        return None, "which layers have a sliding window is not in config.json"
    windowed = [kinds is not None and i < len(kinds) and "sliding" in kinds[i] for i in range(layers)]
    sizes = [size] * layers
    if global_size := config.get("global_head_dim"):  # Gemma 4: full layers have wider heads
        wide = 2 * (config.get("num_global_key_value_heads") or config.get("num_key_value_heads") or 0) * global_size
        sizes = [size if inside else wide for inside in windowed]
    return _cache(names, sizes, windowed, window=window, shared=config.get("num_kv_shared_layers") or 0)


def _cache(
    names: Iterable[str], sizes: Sequence[int], windowed: Sequence[bool], *, window: int | None, shared: int
) -> Answer:
    """`shared` layers at the end use the cache of earlier ones."""
    tensors: dict[int, list[str]] = defaultdict(list)
    for name in names:
        if (match := _LAYER.search(name)) and not name.startswith(("v.", "visual.", "vision", "mtp.")):
            tensors[int(match[1])].append(match[2])
    if any(part in rest for layer in tensors.values() for rest in layer for part in _OTHER_CACHE):
        return None, "its attention keeps an index or compressed blocks beside the keys and values"
    recurrent = [
        any(r.startswith(_RECURRENT) or f".{p}" in r for r in tensors[i] for p in _RECURRENT) for i in _to(sizes)
    ]
    fused = ("attn_qkv.",)  # in a hybrid, also the name of a recurrent layer's input
    attends = [
        any(part in rest and not (recurrent[i] and part in fused) for rest in tensors[i] for part in _ATTENDS)
        for i in _to(sizes)
    ]
    if unknown := [i for i in _to(sizes) if not attends[i] and not recurrent[i] and sizes[i]]:
        return None, f"layer {unknown[0]} has no attention that specbench knows"
    kept = [i for i in _to(sizes) if attends[i] and sizes[i] and i < len(sizes) - shared]
    near = [i for i in kept if windowed[i]]
    cache = KvCache(
        elements=sum(sizes[i] for i in kept),
        windowed_elements=sum(sizes[i] for i in near),
        layers=len(kept),
        windowed_layers=len(near),
        recurrent_layers=sum(recurrent),
        window=window if near else None,
    )
    return cache, None


def _to(sizes: Sequence[int]) -> range:
    return range(len(sizes))


def _each(value: Any, layers: int) -> list[int] | None:
    """One value for each layer; None where it is not stated. Long arrays lie packed."""
    if value is None:
        return None
    found = [value] * layers if isinstance(value, int) else list(value)
    return (found + [0] * layers)[:layers]
