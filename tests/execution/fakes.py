"""An engine in this process: it records what it is asked and does what its prompts say."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from specbench.engines.base import Answer, EngineInfo, OpeningError, Request, TrialError
from specbench.records import Block, Contender, DraftCounts, Message, Plan, Prompt, Role, Trial

DIES, HANGS, REFUSED = "dies", "hangs", "refused"


@dataclass
class FakeEngine:
    """`calls` is what happened: `open NAME`, the prompts in order, `close NAME`. `broken` contenders do not open."""

    broken: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)

    @contextmanager
    def open(self, contender: Contender, *, log: Path, load_timeout: float) -> Iterator["FakeSession"]:
        assert load_timeout > 0
        self.calls.append(f"open {contender.name}")
        self.logs.append(log.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        if contender.name in self.broken:
            raise OpeningError("it does not start", hint="do something", log_tail="E broken")
        try:
            yield FakeSession(self)
        finally:
            self.calls.append(f"close {contender.name}")


@dataclass
class FakeSession:
    engine: FakeEngine
    living: bool = True
    info: EngineInfo = field(default_factory=lambda: EngineInfo(version="1"))

    def tokenize(self, text: str) -> list[int]:
        return list(range(self.count_tokens(text)))

    def count_tokens(self, text: str) -> int:
        return len(text) // 5

    def apply_template(self, messages: Sequence[Message], *, thinking: bool | None) -> str:
        self.engine.calls.append(f"template {thinking}") if thinking is not None else None
        return "".join(f"<{message.content}>" for message in messages)

    def generate(self, request: Request) -> Answer:
        assert isinstance(request.prompt, str)
        self.engine.calls.append(request.prompt.strip("<>"))
        self.engine.requests.append(request)
        if DIES in request.prompt:
            self.living = False
            raise TrialError("engine-died", "the engine died", hint="read its log")
        if HANGS in request.prompt:
            raise TrialError("timeout", "no answer", hint="wait longer")
        if REFUSED in request.prompt:
            raise TrialError("refused", "no", hint="ask for something else")
        return Answer(
            text="x",
            output_ids=(1,),
            prompt_tokens=1,
            cached_tokens=0,
            prefilled_tokens=1,
            output_tokens=1,
            counts=DraftCounts(emitted=1),
            prefill_seconds=0.1,
            decode_seconds=0.1,
            draft_seconds=None,
            first_token=0.1,
            last_token=0.1,
            total=0.1,
            first_chunk_tokens=1,
            stop_reason="length",
            verification_rule=None,
            steps=None,
            top_two_gaps=None,
            observed={},
        )

    def alive(self) -> bool:
        return self.living

    def log_tail(self) -> str | None:
        return "last words"


def make_plan(blocks: Sequence[tuple[str, Sequence[str]]], *, learners: Sequence[str] = ()) -> Plan:
    """Blocks of (contender, prompts); a prompt that begins with `warm` is a warm-up, with `control` a control."""
    names = dict.fromkeys(name for name, _ in blocks)
    planned = []
    for index, (name, prompts) in enumerate(blocks):
        trials = tuple(make_trial(name, prompt, number=f"{index}.{n}") for n, prompt in enumerate(prompts))
        planned.append(Block(index=index, contender=name, trials=trials))
    return Plan(
        specbench_version="0",
        name="test",
        suites={},
        contenders=tuple(make_contender(name, learns=name in learners) for name in names),
        prompts=tuple(
            Prompt(id=text, suite="s", category="c", messages=(Message(role="user", content=text),))
            for text in dict.fromkeys(prompt for _, prompts in blocks for prompt in prompts)
        ),
        blocks=tuple(planned),
    )


def make_contender(name: str, *, learns: bool = False) -> Contender:
    return Contender(
        name=name,
        engine="fake",
        kind="server",
        target_model="t",
        target_label="t",
        method="none",
        learns=learns,
    )


def make_trial(contender: str, prompt: str, *, number: str) -> Trial:
    roles: dict[str, Role] = {"warm": "warm-up", "control": "control"}
    return Trial(
        id=number,
        contender=contender,
        category="c",
        prompt=prompt,
        role=next((role for start, role in roles.items() if prompt.startswith(start)), "measured"),
        repeat=0,
        temperature=0.0,
        seed=1,
        output_tokens=8,
        ignore_eos=True,
    )
