"""What execution sees of an engine: open it, render and generate, close it. Nothing here is one engine's dialect."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from specbench.errors import EngineError, UnavailableError
from specbench.records import DraftCounts, Message, Sampling, Setting, Step
from specbench.untrusted import MISFITS

Reason = Literal["engine-died", "timeout", "context-exceeded", "refused", "bad-answer"]
StopReason = Literal["length", "eos", "word"]
Rule = Literal["greedy-match", "rejection-sampling"]


class TrialError(EngineError):
    """One generation went wrong. `reason` is the code that the record keeps."""

    def __init__(self, reason: Reason, message: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


@contextmanager
def understood() -> Iterator[None]:
    """Where an answer is read that is JSON, but may be built in any way: what does not fit it is a TrialError."""
    try:
        yield
    except MISFITS as error:
        raise bad_answer(f"{type(error).__name__}: {error}") from error


def bad_answer(what: str) -> TrialError:
    return TrialError("bad-answer", f"the engine's answer is not understood: {what}", hint="read the engine's log")


class OpeningError(UnavailableError):
    """The engine cannot be opened here. `log_tail` is what it said last."""

    def __init__(self, message: str, *, hint: str, log_tail: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.log_tail = log_tail


@dataclass(frozen=True, kw_only=True)
class Request:
    """One generation. `prompt` is text or token ids; `timeout` is seconds for the whole answer.

    `stream`: token by token, with the times of arrival; it costs the engine time on every token. `shared`: others run
    at the same time, so that what the engine counts as a whole says nothing about this one. `reuse_prompt`: the engine
    need not process again what it still holds of the last prompt.
    """

    prompt: str | Sequence[int]
    output_tokens: int
    temperature: float
    seed: int
    ignore_eos: bool
    timeout: float
    sampling: Sampling = field(default_factory=Sampling)
    json_schema: str | None = None
    top_two: bool = False
    steps: bool = False
    stream: bool = False
    shared: bool = False
    reuse_prompt: bool = False

    @property
    def streamed(self) -> bool:
        """Whether the answer comes token by token: asked for, or needed for what was asked."""
        return self.stream or self.steps or self.top_two


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one generation showed; the fields are those of `records.Generation`. None where the engine does not say."""

    text: str
    output_ids: tuple[int, ...] | None
    prompt_tokens: int | None
    cached_tokens: int | None
    prefilled_tokens: int | None
    output_tokens: int | None
    counts: DraftCounts
    prefill_seconds: float | None
    decode_seconds: float | None
    draft_seconds: float | None
    first_token: float | None
    last_token: float | None
    total: float | None
    first_chunk_tokens: int | None
    stop_reason: StopReason | None
    verification_rule: Rule | None
    steps: tuple[Step, ...] | None
    top_two_gaps: tuple[float | None, ...] | None
    observed: dict[str, Setting]


@dataclass(frozen=True, kw_only=True)
class EngineInfo:
    """Who the engine is and how it was started. `environment` holds only variables that change how it runs."""

    version: str | None = None
    commit: str | None = None
    executable: str | None = None
    executable_sha256: str | None = None
    argv: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    load_seconds: float | None = None
    context_size: int | None = None
    chat_template_sha256: str | None = None
    model_type: str | None = None
    observed: Mapping[str, Setting] = field(default_factory=dict)
    log: str | None = None


class Session(Protocol):
    """An opened engine. Every method raises TrialError when the engine misbehaves."""

    @property
    def info(self) -> EngineInfo: ...

    def tokenize(self, text: str) -> list[int]:
        """Token ids of `text` as a prompt, special tokens included; TrialError where the engine does not tell them."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` as a prompt, special tokens included."""
        ...

    def apply_template(self, messages: Sequence[Message], *, thinking: bool | None) -> str:
        """The prompt that the model's chat template makes; `thinking` None leaves the template's default.

        Where the server applies the template itself: its own form of the conversation.
        """
        ...

    def generate(self, request: Request) -> Answer: ...

    def alive(self) -> bool: ...

    def log_tail(self) -> str | None:
        """The last lines of the log that say something."""
        ...
