"""A large run with invented numbers and a large model without weights, to time what reads them. Counts reconcile."""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np

import specbench
from specbench import store
from specbench.records import Block, Contender, DraftCounts, Generation, Machine, Message, Plan, Prompt, Trial
from specbench.structs import to_json

CATEGORIES = ("code", "json", "creative", "rag-long", "summarise", "chat", "reasoning", "edit")
METHODS = ("none", "draft-model", "ngram-simple", "ngram-map-k", "ngram-mod")
PROMPTS, REPEATS, OUTPUT_TOKENS, DRAFT_TOKENS_MAX = 20, 125, 64, 4
TRIALS = len(CATEGORIES) * len(METHODS) * PROMPTS * REPEATS
TEXT = "def total(values):\n    return sum(value for value in values if value is not None)\n" * 3
MACHINE = Machine(system="Synthetic", release="0", architecture="none", python="0")


def plan(repeats: int = REPEATS) -> Plan:
    """One block for each contender and repeat."""
    prompts = tuple(
        Prompt(
            id=f"{category}-{i}", suite="synthetic", category=category, messages=(Message(role="user", content="?"),)
        )
        for category in CATEGORIES
        for i in range(PROMPTS)
    )
    contenders = tuple(
        Contender(
            name=f"synthetic/{method}",
            engine="synthetic",
            kind="server",
            target_model="synthetic.gguf",
            target_label="synthetic",
            method=method,
            baseline=None if method == "none" else "synthetic/none",
        )
        for method in METHODS
    )
    blocks = tuple(
        Block(index=index, contender=contender.name, trials=_trials(contender, prompts, repeat))
        for index, (repeat, contender) in enumerate(itertools.product(range(repeats), contenders))
    )
    return Plan(
        specbench_version=specbench.__version__,
        name="synthetic",
        suites={"synthetic": "0"},
        contenders=contenders,
        prompts=prompts,
        blocks=blocks,
    )


def _trials(contender: Contender, prompts: tuple[Prompt, ...], repeat: int) -> tuple[Trial, ...]:
    return tuple(
        Trial(
            id=f"{contender.name}/{prompt.id}/{repeat}",
            contender=contender.name,
            category=prompt.category,
            prompt=prompt.id,
            role="measured",
            repeat=repeat,
            temperature=0.0,
            seed=repeat,
            output_tokens=OUTPUT_TOKENS,
            ignore_eos=True,
        )
        for prompt in prompts
    )


def generations(planned: Plan, seed: int = 1) -> Iterator[Generation]:
    """A generation for every trial of the plan. Those of another seed have other times, and begin later."""
    dice = random.Random(seed)  # noqa: S311  invented numbers
    order = itertools.count((seed - 1) * 10**7)
    for block in planned.blocks:
        drafts = not block.contender.endswith("/none")
        for trial in block.trials:
            yield _generation(trial, block.index, next(order), _counts(dice) if drafts else _plain(), dice)


def _plain() -> DraftCounts:
    return DraftCounts(emitted=OUTPUT_TOKENS, prefill_tokens=1, verification_steps=OUTPUT_TOKENS - 1)


def _counts(dice: random.Random) -> DraftCounts:
    by_position = sorted((dice.randrange(6, 12) for _ in range(DRAFT_TOKENS_MAX)), reverse=True)
    accepted = sum(by_position)
    steps = OUTPUT_TOKENS - 1 - accepted
    return DraftCounts(
        emitted=OUTPUT_TOKENS,
        prefill_tokens=1,
        drafted=steps * DRAFT_TOKENS_MAX,
        accepted=accepted,
        verification_steps=steps,
        drafted_steps=steps,
        accepted_by_position=tuple(by_position),
        sources={"drafted": "synthetic"},
    )


def _generation(trial: Trial, block: int, order: int, counts: DraftCounts, dice: random.Random) -> Generation:
    decode = dice.gauss(0.5, 0.02)
    return Generation(
        trial=trial,
        block=block,
        order=order,
        started=float(order),
        text=TEXT,
        output_ids=tuple(dice.randrange(2000) for _ in range(OUTPUT_TOKENS)),
        prompt_sha256="0" * 64,
        prompt_tokens=100,
        cached_tokens=0,
        prefilled_tokens=100,
        output_tokens=OUTPUT_TOKENS,
        counts=counts,
        prefill_seconds=0.1,
        decode_seconds=decode,
        first_token=0.11,
        last_token=0.11 + decode,
        total=0.12 + decode,
        first_chunk_tokens=1,
        stop_reason="length",
    )


def write_run(results: Path, repeats: int = REPEATS, *, seed: int = 1) -> Path:
    """The folder of a run with TRIALS generations (at REPEATS), without the wait for the disk that a real run has."""
    folder, planned = results / f"synthetic-{seed}", plan(repeats)
    folder.mkdir()
    (folder / store.OPENINGS).touch()
    (folder / store.PLAN).write_bytes(to_json(planned))
    (folder / store.MACHINE).write_bytes(to_json(MACHINE))
    with (folder / store.TRIALS).open("wb") as file:
        file.writelines(to_json(generation) + b"\n" for generation in generations(planned, seed))
    return folder


def write_model(path: Path, *, layers: int = 200, size: int = 40 * 10**9, vocabulary: int = 150_000) -> Path:
    """A GGUF of 10 tensors a layer, with a full vocabulary; its weights are a hole in the file."""
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_block_count(layers)
    writer.add_context_length(131072)
    writer.add_embedding_length(4096)
    writer.add_head_count(32)
    writer.add_head_count_kv(8)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"token-{i}" for i in range(vocabulary)])
    writer.add_token_merges([f"a{i} b{i}" for i in range(vocabulary)])
    names = (
        "attn_norm",
        "attn_q",
        "attn_k",
        "attn_v",
        "attn_output",
        "ffn_norm",
        "ffn_gate",
        "ffn_up",
        "ffn_down",
        "x",
    )
    kind, bytes_ = gguf.GGMLQuantizationType.Q4_K, size // (layers * len(names)) // 2304 * 2304
    for layer, name in itertools.product(range(layers), names):
        shape = (bytes_ // 2304, 2304)  # 4096 elements a row
        writer.add_tensor_info(f"blk.{layer}.{name}.weight", shape, np.dtype(np.uint8), bytes_, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + layers * len(names) * (bytes_ + 32))
    return path
