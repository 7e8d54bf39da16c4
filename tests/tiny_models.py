"""GGUFs and Hugging Face folders whose headers say what a test wants; the weights are a hole in the file."""

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np

TOKENS = tuple(f"token{i}" for i in range(300))
WIDTH, HEAD, LAYERS = 128, 32, 4
Shapes = dict[str, tuple[int, ...]]


def block(index: int, *, keys: int = 64, experts: int = 0) -> Shapes:
    """One attention block; shapes are (outputs, inputs)."""
    many = (experts,) if experts else ()
    feed = "_exps" if experts else ""
    shapes = {
        "attn_norm": (WIDTH,),
        "attn_q": (WIDTH, WIDTH),
        "attn_k": (keys, WIDTH),
        "attn_v": (keys, WIDTH),
        "attn_output": (WIDTH, WIDTH),
        f"ffn_up{feed}": (*many, 256, WIDTH),
        f"ffn_down{feed}": (*many, WIDTH, 256),
    }
    return {f"blk.{index}.{name}.weight": shape for name, shape in shapes.items()}


def trunk(layers: int = LAYERS, **options: int) -> Shapes:
    shapes: Shapes = {"token_embd.weight": (len(TOKENS), WIDTH), "output.weight": (len(TOKENS), WIDTH)}
    for index in range(layers):
        shapes |= block(index, **options)
    return shapes


def nextn(index: int) -> Shapes:
    """A multi-token-prediction block."""
    return {**block(index), f"blk.{index}.nextn.eh_proj.weight": (WIDTH, 2 * WIDTH)}


def write(
    path: Path,
    architecture: str = "qwen3",
    *,
    tensors: Shapes | None = None,
    types: Mapping[str, str] = {},
    tokens: Sequence[str] | None = TOKENS,
    **values: Any,
) -> Path:
    """`types`: the tensor type by a part of the name, else Q8_0; `values`: keys, `__` for a dot."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, architecture)
    stated = {"block_count": LAYERS, "context_length": 4096, "embedding_length": WIDTH}
    stated |= {"attention.head_count": WIDTH // HEAD, "attention.head_count_kv": 2}
    for key, value in (stated | {key.replace("__", "."): value for key, value in values.items()}).items():
        add = writer.add_array if isinstance(value, list) else writer.add_uint32
        add(f"{architecture}.{key}", value)
    if tokens is not None:
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list(tokens)
        writer.add_chat_template("{{ messages }}")
    for name, shape in (trunk() if tensors is None else tensors).items():
        named = next((kind for part, kind in types.items() if part in name), "Q8_0" if len(shape) > 1 else "F32")
        kind = gguf.GGMLQuantizationType[named]
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        bytes_ = int(np.prod(shape)) // elements * size
        shape_in_bytes = gguf.quant_shape_to_byte_shape(shape, kind)
        writer.add_tensor_info(name, shape_in_bytes, np.dtype(np.uint8), bytes_, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    end = sum(-(-info.nbytes // 32) * 32 for infos in writer.tensors for info in infos.values())
    writer.close()
    with path.open("r+b") as file:
        file.truncate(-(-path.stat().st_size // 32) * 32 + end)
    return path


def eagle3(path: Path, *, width: int = WIDTH, taps: Sequence[int] = (1, 2, 3), **options: Any) -> Path:
    shapes = {"fc.weight": (WIDTH, 3 * width), "output.weight": (32, WIDTH), **block(0)}
    values = {"block_count": 1, "target_layers": list(taps), "target_hidden_size": width}
    return write(path, "eagle3", tensors=shapes, **(values | options))


def dflash(path: Path, *, markov: bool = False, taps: Sequence[int] = (1, 3)) -> Path:
    shapes = {"fc.weight": (WIDTH, len(taps) * WIDTH), **block(0)} | ({"markov_w1.weight": (300, 32)} if markov else {})
    return write(path, "dflash", tensors=shapes, block_count=1, target_layers=list(taps))


def checkpoint(
    folder: Path, tensors: Mapping[str, tuple[str, tuple[int, ...]]], *, files: int = 1, **config: Any
) -> Path:
    """A folder in Hugging Face's layout; `tensors`: name -> dtype and shape."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {"BF16": 2, "F16": 2, "F8_E4M3": 1, "I32": 4}
    (folder / "config.json").write_text(json.dumps(config))
    index: dict[str, str] = {}
    for number in range(files):
        name = f"model-{number + 1:05}-of-{files:05}.safetensors" if files > 1 else "model.safetensors"
        header, at = {}, 0
        for place, (tensor, (dtype, shape)) in enumerate(tensors.items()):
            if place % files == number:
                end = at + sizes[dtype] * int(np.prod(shape))
                header[tensor] = {"dtype": dtype, "shape": shape, "data_offsets": [at, end]}
                index[tensor], at = name, end
        text = json.dumps(header).encode()
        with (folder / name).open("wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            file.truncate(8 + len(text) + at)
    if files > 1:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    return folder
