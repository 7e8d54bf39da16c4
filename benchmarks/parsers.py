"""What reads what others wrote: each parser with valid inputs, and what is done with what it makes of one."""

import gzip
import io
import json
import re
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from itertools import zip_longest
from pathlib import Path
from zlib import crc32

import synthetic

from specbench import datafiles, store
from specbench.analysis.comparison import compare
from specbench.cli import flags
from specbench.engines import counters, llamacpp, logs, openai, profile
from specbench.engines.base import Answer, Request, understood
from specbench.engines.server import Running
from specbench.engines.stream import events
from specbench.engines.wire import Exchange, Wire
from specbench.hardware import capture, profiles
from specbench.hardware.detect import detect
from specbench.hardware.reading import Source
from specbench.models import described, gguf, safetensors
from specbench.models.compatibility import misfit
from specbench.models.findings import findings
from specbench.peers import formats
from specbench.planning.pricelist import price_list
from specbench.planning.suites import parse_suite
from specbench.records import DraftCounts, Enough, Failure, Plan, Skip, Step
from specbench.report.formats import FORMATS
from specbench.report.inspection import Inspection, as_json, sections
from specbench.report.markdown import blocks
from specbench.structs import replace, to_json

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Parser:
    """`seeds` are valid inputs; `read` reads one and goes on to what follows from it."""

    seeds: tuple[bytes, ...]
    read: Callable[[bytes, Path], object]


def kept(folder: Path, pattern: str) -> tuple[bytes, ...]:
    found = tuple(path.read_bytes() for path in sorted(folder.glob(pattern)))
    assert found, pattern
    return found


def text(read: Callable[[str], object], data: bytes, _: Path) -> object:
    """Of bytes that are no text the caller has told already."""
    return read(data.decode("utf-8", errors="replace"))


def written(name: str, read: Callable[[Path], object], data: bytes, folder: Path) -> object:
    """Read from a file."""
    (folder / name).write_bytes(data)
    return read(folder / name)


def shown_model(path: Path) -> None:
    facts = gguf.read_facts(path) if path.is_file() else safetensors.read_facts(path)
    found = Inspection(facts, tuple(findings(facts)))
    as_json(found)
    for section in sections(found):
        list(blocks(section))
    misfit(facts, facts)
    described.of_file(facts)


def gguf_heads() -> tuple[bytes, ...]:
    """Up to the weights, which a hole stands for. Most of a real one are tokens, so a small one comes more often."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        small = synthetic.write_model(Path(name) / "small.gguf", layers=2, size=10**6, vocabulary=9)
        for path in (*[small] * 9, *sorted(datafiles.path("micro/weights").glob("*.gguf"))):
            tensors = gguf.read_header(path).tensors
            weights = max(tensor.offset + (tensor.bytes or 0) for tensor in tensors)
            found.append(path.read_bytes()[: path.stat().st_size // 32 * 32 - -(-weights // 32) * 32])
    return tuple(found)


def read_gguf(data: bytes, folder: Path) -> None:
    """With a hole behind it; some without one."""
    path = folder / "model.gguf"
    with path.open("wb") as file:
        file.write(data)
        if len(data) % 32 == 0 or crc32(data) % 2:
            file.truncate(max(len(data), 2**22))
    shown_model(path)


_FILES = (
    *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"),
    "model.safetensors.index.json",
)
_MARK = b"\n--file--\n"


def checkpoints() -> tuple[bytes, ...]:
    """The files of a folder, one after the other."""
    config = {
        "architectures": ["Qwen3ForCausalLM"], "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 128,
        "num_key_value_heads": 2, "head_dim": 32, "vocab_size": 3, "max_position_embeddings": 4096,
        "quantization_config": {"quant_method": "gptq", "bits": 4}, "layer_types": ["full_attention"] * 2,
        "num_experts": 4, "num_experts_per_tok": 2, "sliding_window": 128, "num_nextn_predict_layers": 1,
        "dflash_config": {"projector_type": "domino", "target_layer_ids": [1]}, "text_config": {"hidden_size": 128},
    }  # fmt: skip
    plain = {k: v for k, v in config.items() if k not in ("dflash_config", "quantization_config")}
    names = [f"model.layers.{i}.{name}" for i in range(3) for name in ("self_attn.q_proj.weight", "mlp.up.qweight")]
    names += ["model.embed_tokens.weight", "lm_head.weight", "mtp.0.layer", "model.layers.0.mlp.experts.0.up.weight"]
    entries = {
        n: {"dtype": "BF16", "shape": [4, 2], "data_offsets": [i * 16, i * 16 + 16]} for i, n in enumerate(names)
    }
    head = json.dumps({"__metadata__": {"format": "pt"}, **entries}).encode()
    weights = len(head).to_bytes(8, "little") + head + bytes(16 * len(names))
    tokens = {"model": {"vocab": {"a": 0, "b": 1}}, "added_tokens": [{"id": 2, "content": "<end>"}]}
    rest = (weights, json.dumps(tokens).encode(), b'{"chat_template": "{{ messages }}"}')
    index = json.dumps({"weight_map": dict.fromkeys(names, "model.safetensors")}).encode()
    return _MARK.join((json.dumps(config).encode(), *rest)), _MARK.join((json.dumps(plain).encode(), *rest, index))


def read_checkpoint(data: bytes, folder: Path) -> None:
    parts = data.split(_MARK)
    for name, part in zip_longest(_FILES, parts[: len(_FILES)]):
        (folder / name).unlink(missing_ok=True)
        if part is not None:
            (folder / name).write_bytes(part)
    shown_model(folder)


SHARED = Request(
    prompt="{}", output_tokens=64, temperature=0, seed=1, ignore_eos=True, timeout=1, top_two=True, steps=True,
    stream=True,
)  # fmt: skip
BEFORE, AFTER = {counters.DRAFTED: 1.0, "n": 1.0}, {counters.DRAFTED: 9.0, counters.ACCEPTED: 4.0, "n": 2.0}


def exchange(data: bytes) -> Exchange:
    """In parts, as they come."""
    step = max(1, len(data) // 7)
    return Exchange(200, 0.0, tuple((float(n), data[n : n + step]) for n in range(0, len(data), step)) or ((0.0, b""),))


def recorded(answer: Answer) -> None:
    with understood():
        DraftCounts(**{name: getattr(answer.counts, name) for name in DraftCounts.__struct_fields__})


def read_stream(data: bytes, _: Path) -> None:
    came = exchange(data)
    list(events(came.parts))
    if b"choices" in data:
        recorded(openai.read_answer(openai.read_chunks(came), sent=0.0, logged={}, before=BEFORE, after=AFTER))
    else:
        chunks = llamacpp.read_chunks(came, stream=True)
        recorded(llamacpp.read_answer(chunks, sent=0.0, request=SHARED, before=BEFORE, after=AFTER))


def read_timings(data: bytes, _: Path) -> None:
    chunks = llamacpp.read_chunks(exchange(data), stream=False)
    recorded(llamacpp.read_answer(chunks, sent=0.0, request=SHARED, before=None, after=None))


def read_metrics(data: bytes, _: Path) -> None:
    metrics = counters.parse_metrics(data.decode("utf-8", errors="replace"))
    answer = {"predicted_n": 8}
    with understood():
        counters.draft_counts(answer, types=None, prompt_passes=1, before=BEFORE, after=metrics)
        counters.openai_counts({}, logged={}, before=metrics, after=metrics)


def read_log(data: bytes, folder: Path) -> None:
    said = data.decode("utf-8", errors="replace")
    counted = logs.counts(said)
    logs.drafting_seconds(said)
    logs.settings_shown(said)
    counters.completed(DraftCounts(emitted=8, prefill_tokens=1), counted)
    profile.flags_missing(("--port", "-m"), said)
    (folder / "log").write_bytes(data)
    Running(nowhere(), None, folder / "log", (), {}, None).log_tail()


@cache
def nowhere() -> Wire:
    return Wire("localhost:1")


@cache
def bases() -> dict[str, str]:
    texts = datafiles.texts(ROOT / "specbench" / "engines" / "profiles")
    return {name.removesuffix(".toml"): profile for name, profile in texts.items()}


def read_profile(said: str) -> None:
    made = profile.parse_profile("mine", said, bases=bases())
    for method in made.methods:
        profile.command(
            made, target_model="t", draft_model="d", method=method, settings={}, engine_settings=made.defaults,
            engine_args=(), trust_remote_code=bool(made.trust),
        )  # fmt: skip


def suites() -> tuple[bytes, ...]:
    """Of one category each: a small one that has everything, and the packaged ones."""
    files = {f.stem: f.read_bytes() for f in sorted((ROOT / "suites" / "core").glob("*.toml"))}
    head = b'name = "s"\nversion = "1"\nlicence = "MIT"\ndescription = "d"\ncategories = ["%s"]\n'
    own = {name: data for name, data in files.items() if name not in ("suite", "passages")}
    small = _MARK.join((head % b"code", PASSAGES, CATEGORY))
    return *[small] * 4 * len(own), *(_MARK.join((head % n.encode(), files["passages"], d)) for n, d in own.items())


def read_suite(data: bytes, _: Path) -> None:
    head, material, *parts = (part.decode("utf-8", "replace") for part in [*data.split(_MARK), b"", b""])
    found = re.search(r'categories = \["([\w-]+)', head)
    name = f"{found[1] if found else 'code'}.toml"
    parse_suite({"suite.toml": head, "passages.toml": material, name: "".join(parts)})


def captures() -> tuple[bytes, ...]:
    """Packed, and as the archive within: a change of what is packed only breaks its checksum. Few bombs: they cost."""
    with tempfile.TemporaryDirectory() as name:
        capture.write(Path(name) / "here.tar.gz", Source(environment={"OMP_NUM_THREADS": "4"}))
        whole = (Path(name) / "here.tar.gz").read_bytes()
    return *[whole] * 40, *[gzip.decompress(whole)] * 100, *[leading_away()] * 50, bomb()


def leading_away() -> bytes:
    """Names, links and devices that an archive may hold and nobody may follow."""
    kinds = {"../../x": tarfile.REGTYPE, "x": tarfile.REGTYPE, "y": tarfile.SYMTYPE, "root/dev": tarfile.CHRTYPE}
    readings = {"environment": {"value": {}}, "platform system": {"value": "Linux"}}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, kind in kinds.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "x"
            archive.addfile(member)
        member = tarfile.TarInfo("readings.json")
        member.size = len(data := json.dumps(readings).encode())
        archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


@cache
def bomb() -> bytes:
    """12 members of 60 MiB of zeros in less than a MiB; parts that are packed one by one follow each other."""
    member = tarfile.TarInfo("root/x")
    member.size = 60 * 2**20
    return (gzip.compress(member.tobuf()) + gzip.compress(bytes(member.size), 1)) * 12


def read_capture(data: bytes, folder: Path) -> None:
    path = folder / "machine.tar.gz"
    path.write_bytes(data if data[:2] == b"\x1f\x8b" else gzip.compress(data, 1))
    machine = detect(capture.read(path), devices=True)
    to_json(machine)
    for card in machine.accelerators:
        profiles.match(card, hardware())


@cache
def hardware() -> dict[str, profiles.DeviceProfile]:
    return profiles.profiles()


@cache
def small_plan() -> Plan:
    """Three contenders, two categories, three prompts in each."""
    whole = synthetic.plan(repeats=1)
    names = [p.id for p in whole.prompts if p.category in ("code", "json") and p.id.endswith(("-0", "-1", "-2"))]
    return replace(
        whole,
        contenders=whole.contenders[:3],
        prompts=tuple(p for p in whole.prompts if p.id in names),
        blocks=tuple(replace(b, trials=tuple(t for t in b.trials if t.prompt in names)) for b in whole.blocks[:3]),
    )


@cache
def records() -> tuple[bytes, ...]:
    """Trials of every contender, with what else such a file may hold."""
    trials = list(synthetic.generations(small_plan()))
    failure = Failure(
        trial=trials[0].trial, block=0, order=0, started=1.0, reason="timeout", message="m", hint="h", log_tail="l"
    )
    skip = Skip(contender="synthetic/ngram-mod", block=None, reason="r", hint="h")
    step = Step(drafted=4, accepted=2, emitted=3, seconds=0.1, phases={"draft": 0.1})
    more = {"steps": (step,) * 3, "top_two_gaps": (0.1, None), "stream": 0, "group_tokens": 8, "group_seconds": 1.0}
    enough = Enough(contender="synthetic/ngram-simple", category="json", reason="r", trials=("x",))
    all_kinds = [failure, skip, enough, replace(trials[-1], **more), *trials]
    return tuple(b"".join(to_json(r) + b"\n" for r in results) for results in (trials, all_kinds))


def read_records(data: bytes, folder: Path, *, name: str = store.TRIALS) -> None:
    files = {store.PLAN: to_json(small_plan()), store.MACHINE: to_json(synthetic.MACHINE), store.TRIALS: records()[1]}
    for file, content in (files | {name: data}).items():
        (folder / file).write_bytes(content)
    run = store.read(folder)
    comparison = compare(run.plan, run.results, machine=run.machine)
    for render in FORMATS.values() if crc32(data) % 4 == 0 else ():  # they take most of the time
        render(comparison)


@cache
def parser(name: str) -> Parser:
    """By name; what it takes to make the seeds is done when it is asked for."""
    engines, peers = ROOT / "tests" / "engines", ROOT / "tests" / "peers" / "files"
    if name.startswith("import "):
        kind = name.removeprefix("import ")
        files = [f.read_bytes() for f in sorted(peers.iterdir()) if f.name != "README.md"]
        own = tuple(data for data in files if formats.figures(data)[0] == kind)
        return Parser(own, lambda data, _: formats.figures(data))
    return {
        "gguf": lambda: Parser(gguf_heads(), read_gguf),
        "safetensors": lambda: Parser(checkpoints(), read_checkpoint),
        "stream": lambda: Parser((*kept(engines, "*/*/stream.sse"),), read_stream),
        "timings": lambda: Parser(kept(engines, "transcripts/*/answer.json"), read_timings),
        "prometheus": lambda: Parser(kept(engines, "transcripts/*/after.txt"), read_metrics),
        "engine log": lambda: Parser(
            (*kept(engines, "*/*/engine.log"), *kept(engines, "*/*.log"), *kept(engines, "help/*.txt")), read_log
        ),
        "run file": lambda: Parser(
            (*kept(ROOT, "micro/run.toml"), RUN_FILE),
            partial(written, "run.toml", lambda path: flags.runfile(path, model=None, draft_model=None)),
        ),
        "engine profile": lambda: Parser(tuple(t.encode() for t in bases().values()), partial(text, read_profile)),
        "hardware profile": lambda: Parser(
            kept(ROOT, "hardware_profiles/*.toml"), partial(text, partial(profiles.parse_profile, "mine"))
        ),
        "suite": lambda: Parser(suites(), read_suite),
        "price list": lambda: Parser(kept(ROOT, "prices/*.toml"), partial(text, partial(price_list, "mine"))),
        "model figures": lambda: Parser(
            (FIGURES,), partial(written, "model.toml", lambda path: described.described(str(path)))
        ),
        "capture": lambda: Parser(captures(), read_capture),
        "trials": lambda: Parser(records(), read_records),
        "plan": lambda: Parser((to_json(small_plan()),), partial(read_records, name=store.PLAN)),
    }[name]()


RUN_FILE = b"""
name = "all"
engine = ["llama-server=/bin/x", "xllamacpp"]
suite = "core"
categories = ["code", "json"]
temperatures = [0.0, 0.8]
fill = [1024, 4096]
streams = 1
budget = "5m"
until = "ci=3%"
sampling = { top_k = 40, top_p = 0.95, min_p = 0.05 }
[engine_settings]
threads = [1, 2]
[methods.draft-model]
draft_tokens_max = [1, 2, 4]
[methods."ngram-mod+draft-model"]
draft-model.draft_tokens_max = 3
[[targets]]
model = "micro"
drafters = ["micro-draft"]
methods = ["none"]
note = "n"
"""
PASSAGES = b"""
slots = { what = ["a", "b"], who = ["c"] }
[[document]]
title = "The {what}"
frames = ["{who} has {what}.", "It is {time}."]
"""
CATEGORY = b"""
category = "code"
description = "d"
output_tokens = 64
[[prompt]]
id = "code-1"
tags = ["smoke"]
system = "s"
user = "u"
check = { kind = "regex", pattern = "(a+)+b" }
[[prompt]]
id = "code-2"
tags = []
messages = [{ role = "user", content = "a" }, { role = "assistant", content = "b" }, { role = "user", content = "c" }]
schema = '{"type": "object"}'
constrained = true
[[prompt]]
id = "code-3"
tags = []
question = "q"
needles = ["n"]
answer = ["a"]
instruction = "i"
"""
FIGURES = b'name = "m"\nparameters = 27e9\nbytes_per_parameter = 0.61\nkv_bytes_per_token = 65536\ndense = true\n'
NAMES = (
    *("gguf", "safetensors", "stream", "timings", "prometheus", "engine log", "run file", "engine profile"),
    *("hardware profile", "suite", "price list", "model figures", "capture", "trials", "plan"),
    *(f"import {kind}" for kind in formats.FORMATS),
)
