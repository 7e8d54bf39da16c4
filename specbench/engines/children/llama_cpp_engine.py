"""llama.cpp through llama-cpp-python: decoding loops in Python on its C API, which time every phase of a step.

usage: llama_cpp_engine.py --model T.gguf --port N [--method METHOD] [--draft-model D.gguf] ...

LLAMA_CPP_LIB_PATH names the libraries of another llama.cpp build of the package's version.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from specbench.engines.children.serving import Model, main
else:
    from serving import main

CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
METHODS = ("none", "ngram", "draft-simple", "draft-mtp", "draft-eagle3")


def identify() -> tuple[str, str | None]:
    import llama_cpp  # noqa: PLC0415  its absence must be a sentence

    return llama_cpp.__version__, getattr(llama_cpp.llama_cpp._lib, "_name", None)  # noqa: SLF001  nothing else tells


def load(asked: argparse.Namespace) -> Model:
    if TYPE_CHECKING:
        from specbench.engines.children.llama_cpp_loops import LlamaCpp  # noqa: PLC0415
    else:
        from llama_cpp_loops import LlamaCpp  # noqa: PLC0415

    return LlamaCpp(asked, version=identify()[0])


def arguments() -> argparse.ArgumentParser:
    """Settings that are not given stay None: llama.cpp's own defaults hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--draft-model")
    parser.add_argument("--method", choices=METHODS, default="none")
    for name in ("context-size", "batch-size", "ubatch-size", "threads", "gpu-layers", "draft-gpu-layers"):
        parser.add_argument(f"--{name}", type=int)
    for name in ("cache-type-k", "cache-type-v", "draft-cache-type-k", "draft-cache-type-v"):
        parser.add_argument(f"--{name}", choices=CACHE_TYPES)
    parser.add_argument("--flash-attention", choices=("auto", "off", "on"), default="auto")
    parser.add_argument("--draft-tokens-max", type=int, default=0)
    parser.add_argument("--draft-tokens-min", type=int, default=0)
    parser.add_argument("--p-min", type=float, default=0.0)
    parser.add_argument("--ngram-size", type=int, default=2)
    return parser


if __name__ == "__main__":
    main(arguments(), package="llama-cpp-python", identify=identify, load=load)
