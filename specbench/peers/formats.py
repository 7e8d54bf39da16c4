"""The formats that can be read, by name. To add one: a function, and a line here."""

from collections.abc import Callable, Iterator
from typing import Any

from specbench.errors import InputError
from specbench.faults import did_you_mean
from specbench.peers import llama_cpp, serving, texts
from specbench.peers.documents import decode
from specbench.peers.figure import Figure, rows, table

Reader = Callable[[Any], Iterator[Figure]]


def _rows_with(*keys: str) -> Callable[[Any], bool]:
    return lambda document: any(all(key in row for key in keys) for row in rows(document))


def _has(*keys: str) -> Callable[[Any], bool]:
    return lambda document: isinstance(document, dict) and all(key in document for key in keys)


def _benchmarks_with(key: str) -> Callable[[Any], bool]:
    return lambda document: isinstance(document, dict) and _rows_with(key)(document.get("benchmarks"))


def _says(*words: str) -> Callable[[Any], bool]:
    return lambda document: isinstance(document, str) and all(word in document.lower() for word in words)


def _metrics(document: Any) -> bool:
    return isinstance(document, dict) and any({"unit", "avg"} <= table(document, key).keys() for key in document)


# Name -> how its content is known, and what reads it.
FORMATS: dict[str, tuple[tuple[Callable[[Any], bool], ...], Reader]] = {
    "llama-bench": ((_rows_with("n_prompt", "n_gen", "avg_ts"),), llama_cpp.llama_bench),
    "llama-batched-bench": ((_rows_with("pl", "speed_tg"), _says("n_kv", "s_tg t/s")), llama_cpp.batched_bench),
    "speed-bench": ((_has("summary", "completed_samples"),), llama_cpp.speed_bench),
    "mtp-bench": ((_has("results", "aggregate"), _says("pred=", "draft=", "tok/s=")), llama_cpp.mtp_bench),
    "llama-benchy": ((_benchmarks_with("tg_throughput"),), llama_cpp.llama_benchy),
    "vllm-serve": (
        (_has("output_throughput", "mean_ttft_ms"), _rows_with("output_throughput", "mean_ttft_ms")),
        serving.vllm_serve,
    ),
    "aiperf-records": ((_rows_with("spec_decode_acceptance"),), serving.aiperf_records),
    "aiperf": ((_metrics,), serving.aiperf),
    "guidellm": ((_benchmarks_with("metrics"),), serving.guidellm),
    "qwen38-mtp": ((_says("| card |", "with flag"),), texts.qwen38_mtp),
    "dflash": ((_says("throughput: ", "num prompts: "), _says("dflash throughput: ")), texts.dflash),
    "sglang-log": ((_says("decode batch", "#running-req"),), texts.sglang_log),
}


def figures(data: bytes, *, name: str | None = None) -> tuple[str, list[Figure]]:
    """The format of a file's bytes (`name` when it is said) and its figures; InputError when there are none."""
    if name is not None and name not in FORMATS:
        raise InputError(f"there is no format {name!r}", hint=did_you_mean(name, FORMATS))
    document = decode(data)
    candidates = [document, [document]] if isinstance(document, dict) else [document]  # a single line of JSON lines
    for kind, (known_by, read) in FORMATS.items():
        for form in candidates:
            if name in (None, kind) and any(knows(form) for knows in known_by):
                found = [*read(form)]
                if not found:
                    raise InputError(f"this {kind} file has no figure", hint="give the file of a run that finished")
                return kind, found
    what = "no format that is known" if name is None else f"not a file of {name}"
    raise InputError(f"its content is {what}", hint=f"known: {', '.join(FORMATS)}")
