"""Synthetic records: made by hand, never measured. Expected values can be computed in the head."""

from collections.abc import Iterable, Sequence
from typing import Any

from specbench.records import (
    Block,
    Contender,
    DraftCounts,
    Failure,
    Generation,
    Machine,
    Message,
    Opening,
    Plan,
    Prompt,
    Result,
    Trial,
)

TEXT = (
    "The harbour was quiet when Marta came down the steps with a lantern in one hand and a letter in the other. "
    "Nobody had told her that the ferry no longer ran on Sundays, so she sat on a crate and read until dark."
)


def contender(name: str, method: str = "none", *, baseline: str | None = None, **changes: Any) -> Contender:
    facts: dict[str, Any] = {
        "engine": "llama-server",
        "kind": "server",
        "target_model": "t.gguf",
        "target_label": "target",
    }
    return Contender(name=name, method=method, baseline=baseline, **facts | {"target_quant": "F16"} | changes)


BASE = contender("base")
DRAFT = contender("draft", "draft-model", baseline="base")


def trial(who: str, prompt: str, **changes: Any) -> Trial:
    facts: dict[str, Any] = {
        "contender": who,
        "category": prompt.partition("-")[0],
        "prompt": prompt,
        "role": "measured",
        "repeat": 0,
        "temperature": 0.0,
        "seed": 1,
        "output_tokens": 101,
        "ignore_eos": True,
    } | changes
    name = "/".join(
        str(facts[key]) for key in ("contender", "prompt", "role", "temperature", "repeat", "fill") if key in facts
    )
    return Trial(id=name, **facts)


def counts(
    drafted: int | None = None, accepted: int | None = None, *, emitted: int = 101, **changes: Any
) -> DraftCounts:
    """Counts that reconcile: one token from the prompt pass, all steps but one drafted."""
    steps = emitted - 1 - (accepted or 0)
    facts: dict[str, Any] = {
        "emitted": emitted,
        "prefill_tokens": 1,
        "drafted": drafted,
        "accepted": accepted,
        "verification_steps": steps,
        "drafted_steps": None if drafted is None else (steps - 1 if drafted else 0),
        "sources": {"verification_steps": "derived: E - R - A"},
    }
    return DraftCounts(**facts | changes)


def generation(
    who: str, prompt: str, *, seconds: float = 1.0, planned: Trial | None = None, **changes: Any
) -> Generation:
    """101 tokens after a prompt of 50; `seconds` of decoding after 0.1 s of prefill; the client waits 1 ms longer."""
    mine = {
        key: changes.pop(key) for key in tuple(changes) if key in Trial.__struct_fields__ and key != "output_tokens"
    }
    facts: dict[str, Any] = {
        "trial": planned or trial(who, prompt, **mine),
        "block": 0,
        "order": 0,
        "started": 1_000_000.0,
        "text": TEXT,
        "output_ids": tuple(range(101)),
        "prompt_sha256": "0" * 64,
        "prompt_tokens": 50,
        "cached_tokens": 0,
        "prefilled_tokens": 50,
        "output_tokens": 101,
        "counts": counts(),
        "prefill_seconds": 0.1,
        "decode_seconds": seconds,
        "first_token": 0.1,
        "last_token": 0.1 + seconds,
        "total": 0.101 + seconds,
        "first_chunk_tokens": 1,
        "stop_reason": "length",
    }
    return Generation(**facts | changes)


def drafted(prompt: str, *, seconds: float = 0.5, who: str = "draft", **changes: Any) -> Generation:
    """80 drafted, 60 accepted in 40 steps: 2.5 tokens a step."""
    return generation(who, prompt, seconds=seconds, **{"counts": counts(80, 60)} | changes)


def failure(who: str, prompt: str, **changes: Any) -> Failure:
    where = {"block": 0, "order": 0, "started": 0.0}
    return Failure(trial=trial(who, prompt, **changes), reason="timeout", message="no answer", hint="wait", **where)


def opening(who: str, **changes: Any) -> Opening:
    facts: dict[str, Any] = {
        "block": 0,
        "started": 0.0,
        "engine_version": "b1",
        "engine_commit": "abc",
        "executable": None,
        "executable_sha256": None,
        "argv": (),
        "environment": {},
        "load_seconds": 1.0,
        "context_size": 4096,
        "chat_template_sha256": "1" * 64,
    }
    return Opening(contender=who, **facts | changes)


def machine(cores: int = 2) -> Machine:
    return Machine(system="Linux", release="6", architecture="x86_64", python="3.11.7", cores_logical=cores)


def plan(
    results: Iterable[Result], contenders: Sequence[Contender] = (BASE, DRAFT), prompts: Sequence[Prompt] = ()
) -> Plan:
    """The plan that these results would have come from; prompts that are not given have no check."""
    trials = [r.trial for r in results if isinstance(r, Generation | Failure)]
    known = {p.id: p for p in prompts}
    for t in trials:
        known.setdefault(t.prompt, prompt(t.prompt, category=t.category))
    return Plan(
        specbench_version="0",
        name="synthetic",
        suites={"synthetic": "0"},
        contenders=tuple(contenders),
        prompts=tuple(known.values()),
        blocks=tuple(
            Block(index=i, contender=c.name, trials=tuple(t for t in trials if t.contender == c.name))
            for i, c in enumerate(contenders)
        ),
    )


def prompt(name: str, **changes: Any) -> Prompt:
    messages = (Message(role="user", content="synthetic"),)
    return Prompt(id=name, suite="synthetic", messages=messages, **{"category": name.partition("-")[0]} | changes)


def ids(*changed: int, length: int = 101) -> tuple[int, ...]:
    """The baseline's output, with other tokens from the first of `changed` on."""
    start = min(changed, default=length)
    return tuple(i if i < start else 1000 + i for i in range(length))


PROMPTS = tuple(f"code-{i}" for i in range(6))
