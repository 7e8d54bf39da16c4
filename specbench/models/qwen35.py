"""A qwen3 model and an MTP block as one qwen35 file: the only way to run that block in llama.cpp, and exact.

qwen3 has no MTP in llama.cpp; qwen35 has, but must contain a recurrent layer, and its attention is gated. So:

- layer 0 is recurrent and all zeros: it adds nothing to the residual stream;
- the rows of the attention's gate are 0, so that every gate is sigmoid(0) = 0.5, and the output projection is doubled;
- all heads' rotary dimensions stay in one piece: the positions of text are equal in all sections.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import gguf
    import numpy as np
    from numpy.typing import NDArray

    Tensors = dict[str, NDArray[np.float32]]

_STATE = 64  # width of the layer that does nothing
_CONV = 4
_RENAMED = {"ffn_norm": "post_attention_norm"}


def metadata(writer: "gguf.GGUFWriter", *, layers: int, head_dim: int) -> None:
    """What a qwen35 file says beyond a qwen3 file; `layers` are those of the qwen3 model."""
    writer.add_nextn_predict_layers(1)
    writer.add_array("qwen35.attention.recurrent_layers", [True, *[False] * (layers + 1)])
    half = head_dim // 2
    first = (half + 2) // 3
    writer.add_rope_dimension_sections([first, first, half - 2 * first, 0])
    writer.add_ssm_conv_kernel(_CONV)
    writer.add_ssm_inner_size(_STATE)
    writer.add_ssm_state_size(_STATE)
    writer.add_ssm_time_step_rank(1)
    writer.add_ssm_group_count(1)


def tensors(trunk: "Tensors", block: "Tensors", *, layers: int, heads: int) -> "Tensors":
    """The tensors of the qwen35 file; `trunk` is the qwen3 model, `block` has `blk.0.*` and `nextn.*`."""
    found = {name: values for name, values in trunk.items() if not name.startswith("blk.")}
    found |= _nothing(trunk)
    for i in range(layers):
        found |= _layer(trunk, i, i + 1, heads)
    found |= _layer(block, 0, layers + 1, heads)
    return found | {f"blk.{layers + 1}.{n}": v for n, v in block.items() if n.startswith("nextn.")}


def _layer(source: "Tensors", old: int, new: int, heads: int) -> "Tensors":
    import numpy as np  # noqa: PLC0415  as in the caller: most runs find the file in the cache

    found = {}
    for name, given in source.items():
        values, prefix = given, f"blk.{old}."
        if not name.startswith(prefix):
            continue
        kind = name.removeprefix(prefix).removesuffix(".weight")
        if kind == "attn_q":  # per head: the query's rows, then the gate's
            rows = values.reshape(heads, -1, values.shape[1])
            values = np.concatenate([rows, np.zeros_like(rows)], axis=1).reshape(-1, values.shape[1])
        elif kind == "attn_output":
            values = values * np.float32(2)
        found[f"blk.{new}.{_RENAMED.get(kind, kind)}.weight"] = values
    return found


def _nothing(trunk: Mapping[str, "NDArray[np.float32]"]) -> "Tensors":
    """Layer 0."""
    import numpy as np  # noqa: PLC0415  as in the caller: most runs find the file in the cache

    ff, width = trunk["blk.0.ffn_gate.weight"].shape
    zeros = {
        "attn_qkv.weight": (3 * _STATE, width),
        "attn_gate.weight": (_STATE, width),
        "ssm_alpha.weight": (1, width),
        "ssm_beta.weight": (1, width),
        "ssm_conv1d.weight": (3 * _STATE, _CONV),
        "ssm_dt.bias": (1,),
        "ssm_out.weight": (width, _STATE),
        "ffn_gate.weight": (ff, width),
        "ffn_up.weight": (ff, width),
        "ffn_down.weight": (width, ff),
    }
    found = {f"blk.0.{name}": np.zeros(shape, np.float32) for name, shape in zeros.items()}
    found["blk.0.ssm_a"] = -np.ones(1, np.float32)
    for name, size in (("attn_norm", width), ("post_attention_norm", width), ("ssm_norm", _STATE)):
        found[f"blk.0.{name}.weight"] = np.ones(size, np.float32)
    return found
