"""Hostile inputs for everything that reads what others wrote: valid ones, broken by seeded dice.

Rule: a result or an error of our own, within 2 s of processor time, below 500 MB. `torture.py --only hostile` counts;
`python benchmarks/hostile.py NAME NUMBER --seed SEED > FILE` writes one input, to look at it. POSIX only.
"""

import argparse
import gzip
import io
import json
import multiprocessing
import random
import re
import resource
import signal
import sys
import tarfile
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import zip_longest
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn
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
from specbench.errors import SpecbenchError
from specbench.hardware import capture, profiles
from specbench.hardware.detect import detect
from specbench.hardware.reading import Source
from specbench.models import described, gguf, safetensors
from specbench.models.compatibility import misfit
from specbench.models.findings import findings
from specbench.peers import formats
from specbench.planning.pricelist import price_list
from specbench.planning.suites import parse_suite
from specbench.records import DraftCounts, Enough, Failure, Plan, Skip, Step, to_json
from specbench.report.formats import FORMATS
from specbench.report.inspection import Inspection, as_json, sections
from specbench.report.markdown import blocks

ROOT = Path(__file__).resolve().parents[1]
SECONDS, BYTES = 2.0, 500e6
_LARGEST = 2**18  # bytes of an input
_ADDRESSES = 6 * 2**30  # what a parser may reserve before it is stopped

# ---------------------------------------------------------------------------------------------- how inputs are broken

HOSTILE = [
    *(b"-1", b"0", b"0.5", b"1e999", b"-1e999", b"1e308", b"5e-324", b"NaN", b"nan", b"inf", b"Infinity", b"-Infinity"),
    *(str(2**bits + more).encode() for bits in (31, 32, 53, 63, 64, 128) for more in (-1, 0)),
    *(b"9" * 400, b"9" * 5000, b"1" + b"0" * 30, b"0x7fffffffffffffff", b"1_000", b"007", b"1.2.3.4", b"-", b"."),
    *(b"null", b"true", b"false", b"{}", b"[]", b"[[]]", b"[null]", b'""', b'"7"', b'"\\ud800"', b'{"":{}}', b"''"),
    *(
        b"\x00",
        b"\xff\xfe",
        b"\xc3\x28",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xef\xbb\xbf",
        b"\r",
        b"\r\n",
        b"\x1b[2J",
    ),
    *("\u202e \u2028 \u0663 \U0001f4a9".encode().split()),
    *(
        b"../../../../etc/passwd",
        b"/etc/passwd",
        b"C:\\x",
        b"%s%n{0}{}$port${x}$$",
        b"__metadata__",
        b"a.b.c",
        b"\\",
        b'"',
    ),
    *(b"\xff" * 8, b"\xff" * 4, b"\x00" * 8, b"\x7f" + b"\xff" * 7, b"\xff" * 7 + b"\x7f", b"\x00" * 7 + b"\x80"),
    *(b"\x09\x00\x00\x00" * 3, b"\x09\x00\x00\x00" + b"\x40" + b"\x00" * 7, b"\x00" * 5 + b"\x10\x00\x00"),
]
NESTED = (
    b"[",
    b"{",
    b'{"a":',
    b"[[",
    b"a.",
    b"{a=",
    b"a={",
    b'[{"a":',
    b"((",
    b"|",
    b",",
    b"'",
    b'"',
    b"\n",
    b" ",
    b"#",
)
_NUMBER = re.compile(rb"-?\d[\d.]*(?:e[-+]?\d+)?")
_QUOTED = re.compile(rb'"[^"\n]*"')
_SMALL = re.compile(rb"[\x00-\x40]\x00{3}")
_VALUE = re.compile(rb"(?<=[=:|,(\[ ])[^=:|,()\[\]\n]+")


def piece(dice: random.Random, data: bytes, longest: int = 64) -> slice:
    start = dice.randrange(len(data) + 1)
    return slice(start, start + dice.randrange(longest) + 1)


def flipped(dice: random.Random, data: bytes, _: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 8)) if data else 0):
        changed[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def cut(dice: random.Random, data: bytes, _: bytes) -> bytes:
    return data[: dice.randrange(len(data) + 1)]


def dropped(dice: random.Random, data: bytes, _: bytes) -> bytes:
    where = piece(dice, data, 400)
    return data[: where.start] + data[where.stop :]


def inserted(dice: random.Random, data: bytes, _: bytes) -> bytes:
    where = piece(dice, data)
    return data[: where.start] + dice.choice(HOSTILE) + data[dice.choice((where.start, where.stop)) :]


def repeated(dice: random.Random, data: bytes, _: bytes) -> bytes:
    """A piece of the input, or what nests, many times: where recursion and backtracking would show."""
    where = piece(dice, data)
    what = dice.choice((data[where], dice.choice(NESTED), dice.choice(HOSTILE))) or b"a"
    times = min(dice.choice((2, 20, 100, 3000, 100_000)), _LARGEST // len(what))
    return data[: where.start] + what * times + data[dice.choice((where.start, where.stop)) :]


def spliced(dice: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: dice.randrange(len(data) + 1)] + other[dice.randrange(len(other) + 1) :]


def lines(dice: random.Random, data: bytes, other: bytes) -> bytes:
    """Lines that come twice, elsewhere, or from another input."""
    ours = data.split(b"\n")
    source = dice.choice((ours, other.split(b"\n")))
    for _ in range(dice.choice((1, 1, 3, 200))):
        ours.insert(dice.randrange(len(ours) + 1), dice.choice(source))
    if dice.random() < 0.3:  # noqa: PLR2004
        dice.shuffle(ours)
    return b"\n".join(ours)


def replaced(pattern: re.Pattern[bytes], dice: random.Random, data: bytes, _: bytes) -> bytes:
    """One or all of what matches, by something that does not belong there."""
    found = list(pattern.finditer(data))
    if not found:
        return data
    by = dice.choice((dice.choice(HOSTILE), dice.choice(HOSTILE), dice.choice(found)[0]))
    if dice.random() < 0.05:  # noqa: PLR2004
        return pattern.sub(lambda _: by, data)
    match = dice.choice(found)
    return data[: match.start()] + by + data[match.end() :]


def counted(dice: random.Random, data: bytes, _: bytes) -> bytes:
    """Of a binary header: a small number, which is a length or a type, is another."""
    found = list(_SMALL.finditer(data))
    if not found:
        return data
    match = dice.choice(found)
    by = dice.choice((dice.randrange(14), dice.randrange(300), 2**31 - 1, 2**32 - 1)).to_bytes(4, "little")
    return data[: match.start()] + by + data[match.end() :]


def rebuilt(dice: random.Random, data: bytes, _: bytes) -> bytes:
    """A value of the JSON, or of one line of it, replaced, left out or put one level deeper."""
    parts = data.split(b"\n") if data[:1] == b"{" else [data]
    number = dice.randrange(len(parts))
    head, brace, rest = parts[number].partition(b"{")
    try:
        value = json.loads(brace + rest)
    except (ValueError, RecursionError):
        return data
    at: list[tuple[Any, Any]] = []
    while isinstance(value, dict | list) and value and (not at or dice.random() < 0.8):  # noqa: PLR2004
        key = dice.choice(list(value)) if isinstance(value, dict) else dice.randrange(len(value))
        at.append((value, key))
        value = value[key]
    if not at:
        return data
    (holder, key), whole, mark = at[-1], at[0][0], "\x00here"
    if dice.random() < 0.1:  # noqa: PLR2004
        del holder[key]
    else:
        holder[key] = dice.choice((mark, mark, [holder[key]], {"a": holder[key]}))
    by = dice.choice([word for word in HOSTILE if not word[:1] > b"~"])
    parts[number] = head + json.dumps(whole).encode().replace(json.dumps(mark).encode(), by)
    return b"\n".join(parts)


WAYS: tuple[Callable[[random.Random, bytes, bytes], bytes], ...] = (
    *(flipped, cut, dropped, inserted, repeated, spliced, lines, rebuilt, rebuilt, counted),
    *(partial(replaced, pattern) for pattern in (_NUMBER, _QUOTED, _VALUE)),
)


def broken(dice: random.Random, seeds: tuple[bytes, ...]) -> bytes:
    """One of the seeds after one to four changes."""
    data = dice.choice(seeds)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 4))):
        data = dice.choice(WAYS)(dice, data, dice.choice(seeds))[:_LARGEST]
    return data


# ------------------------------------------------------------------------------------------------------ what reads them


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
        DraftCounts(**{name: getattr(answer.counts, name) for name in DraftCounts.__dataclass_fields__})


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
    Running(Wire("localhost:1"), None, folder / "log", (), {}, None).log_tail()


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

# ---------------------------------------------------------------------------------------------------- what is a finding


class TooLongError(BaseException):
    """No error of ours may swallow it."""


def _too_long(_: int, __: FrameType | None) -> NoReturn:
    raise TooLongError


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """TooLongError once so much processor time was used: other work on the machine does not count."""
    before = signal.signal(signal.SIGPROF, _too_long)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def made(name: str, number: int, seed: int) -> bytes:
    """An input, always the same for these three."""
    return broken(random.Random(f"{seed}/{name}/{number}"), parser(name).seeds)  # noqa: S311  no secret


def verdict(name: str, data: bytes, folder: Path) -> str:
    """`read`, `refused`, or what it should not have done."""
    try:
        with limited(SECONDS):
            parser(name).read(data, folder)
    except SpecbenchError:
        return "refused"
    except TooLongError as error:
        return f"HANG {_where(error)}"
    except Exception as error:  # noqa: BLE001  what is looked for
        return f"{type(error).__name__} {_where(error)}: {str(error)[:80]!r}"
    return "read"


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/specbench/" in frame.filename] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"


@dataclass
class Tally:
    """`wrong`: the first input by what it did, without the words of the message, and how many did the same."""

    read: int = 0
    refused: int = 0
    wrong: dict[str, tuple[int, str]] = field(default_factory=dict)
    many: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    peak: int = 0


def tried(name: str, numbers: Iterable[int], *, seed: int, at: Any = None) -> Tally:
    """Those inputs, one after the other. `at` is told the number before each, for one that ends the process."""
    tally = Tally()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:  # noqa: S108
        for number in numbers:
            if at is not None:
                at.value = number
            data = made(name, number, seed)
            began = time.process_time()
            found = verdict(name, data, Path(folder))
            tally.slowest = max(tally.slowest, time.process_time() - began)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            if at is not None and peak > BYTES >= tally.peak:
                found = f"{peak / 1e6:.0f} MB: by now"
            tally.peak = max(tally.peak, peak)
            if found in ("read", "refused"):
                setattr(tally, found, getattr(tally, found) + 1)
                continue
            kind = found.partition(": ")[0]
            tally.wrong.setdefault(kind, (number, found))
            tally.many[kind] += 1
    return tally


def _child(name: str, count: int, seed: int, at: Any, told: Any) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
    told.send(tried(name, range(count), seed=seed, at=at))


def campaign(_: Path, asked: argparse.Namespace, __: random.Random) -> Counter[str]:
    """Every parser in a process of its own."""
    seen = Counter[str]()
    start = multiprocessing.get_context("fork")
    for name in asked.parser or NAMES:
        began = time.monotonic()
        at, (ours, theirs) = start.Value("q", -1), start.Pipe(duplex=False)
        process = start.Process(target=_child, args=(name, asked.inputs, asked.seed, at, theirs))
        process.start()
        theirs.close()
        try:
            tally = ours.recv()
        except EOFError:
            died = f"the process ended at input {at.value}"
            tally = Tally(wrong={died: (at.value, died)}, many=Counter((died,)))
        process.join()
        wrong = sum(tally.many.values())
        print(
            f"  {name}: {tally.read} read, {tally.refused} refused, {wrong} WRONG; slowest {tally.slowest:.2f} s, peak "
            f"{tally.peak / 1e6:.0f} MB, {time.monotonic() - began:.0f} s",
            flush=True,
        )
        for kind, (number, found) in tally.wrong.items():
            print(f"    WRONG {tally.many[kind]} times, first input {number}: {found}", flush=True)
        seen["hostile inputs"] += tally.read + tally.refused + wrong
        seen["inputs that were read"] += tally.read
        seen["inputs that were refused"] += tally.refused
        seen["inputs that went WRONG"] += wrong
    return seen


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("name", choices=NAMES)
    options.add_argument("number", type=int)
    options.add_argument("--seed", type=int, required=True)
    asked = options.parse_args()
    data = made(asked.name, asked.number, asked.seed)
    sys.stdout.buffer.write(data)
    with tempfile.TemporaryDirectory() as folder:
        parser(asked.name).read(data, Path(folder))


if __name__ == "__main__":
    main()
