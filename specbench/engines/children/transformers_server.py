"""A program of its own: a model in Hugging Face's layout, decoded by the loops beside this file.

usage: transformers_server.py --model FOLDER --method NAME --port NUMBER ...
"""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from specbench.engines.children import serving
else:
    import serving


def _identify() -> tuple[str, str | None]:
    import torch  # noqa: PLC0415  its absence must be a sentence, not a traceback
    import transformers  # noqa: PLC0415  as above

    return f"transformers {transformers.__version__}, torch {torch.__version__}", torch.__file__


def _load(asked: argparse.Namespace) -> serving.Model:
    from hugging_face import HuggingFace  # noqa: PLC0415  it needs the packages

    model: serving.Model = HuggingFace(asked)
    return model


def main() -> None:
    words = argparse.ArgumentParser(allow_abbrev=False)
    words.add_argument("--model")
    words.add_argument("--draft-model")
    words.add_argument("--method")
    words.add_argument("--context-size", type=int)
    words.add_argument("--threads", type=int)
    words.add_argument("--device")
    words.add_argument("--dtype", default="auto")
    words.add_argument("--attention")
    words.add_argument("--trust-remote-code", action="store_true")
    words.add_argument("--draft-tokens-max", type=int, default=0)
    words.add_argument("--p-min", type=float, default=0.0)
    words.add_argument("--ngram-size", type=int, default=0)
    words.add_argument("--ngram-size-min", type=int, default=0)
    serving.main(words, package="'specbench[transformers]'", identify=_identify, load=_load)


if __name__ == "__main__":
    main()
