"""The dialect of llama.cpp's server: one adapter for the binary, the xllamacpp wheel and a server attached to."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from specbench.engines import counters, logs
from specbench.engines.base import Answer, EngineInfo, Request, Rule, StopReason, TrialError, bad_answer, understood
from specbench.engines.server import Running
from specbench.engines.stream import events
from specbench.engines.wire import Exchange
from specbench.records import Message, Setting, Step
from specbench.untrusted import decoded

_METHOD_OF_TYPE = {
    "draft-simple": "draft-model",
    "draft-mtp": "mtp",
    "draft-eagle3": "eagle3",
    "draft-dflash": "dflash",
    "draft-dspark": "dspark",
}
_STOP_REASONS: dict[str, StopReason] = {"limit": "length", "eos": "eos", "word": "word"}
_SAMPLING = ("temperature", "seed", "top_k", "top_p", "min_p", "typical_p", "repeat_penalty", "ignore_eos")
_LOG_LAG = 0.2  # seconds that the engine's log thread may be late
_CANCELLING = 5.0  # seconds that the engine may take to notice that a request was given up
_TIMEOUT = 60.0  # for everything but a generation


class LlamaCppSession:
    """One llama.cpp server with one request at a time. `info` describes the opening.

    `sampling_rule`: how it verifies drafts above temperature 0; at 0 both rules are one.
    """

    def __init__(self, running: Running, *, info: EngineInfo, sampling_rule: Rule | None) -> None:
        self._running = running
        self._sampling_rule = sampling_rule
        props = self._ask("/props")
        template = props.get("chat_template")
        build, dash, commit = str(props.get("build_info", "")).partition("-")
        kind = str(props.get("model_ftype", "")).removeprefix("(guessed) ")
        self.info = replace(
            info,
            version=info.version or build or None,
            commit=commit if dash and commit != "unknown" else None,
            argv=running.argv,
            environment=running.environment,
            load_seconds=running.load_seconds,
            context_size=props.get("default_generation_settings", {}).get("n_ctx"),
            chat_template_sha256=hashlib.sha256(template.encode()).hexdigest() if template else None,
            model_type=kind or None,
            log=None if running.log is None else running.log.name,
        )
        shown: dict[str, Setting] = {"parallel_slots": props["total_slots"]} if "total_slots" in props else {}
        shown |= logs.settings_shown(running.logged().decode("utf-8", errors="replace"))
        self.info = replace(self.info, observed={**self.info.observed, **shown})
        self._metrics = self._read_metrics()
        self._idle = True  # False after a request that did not end well: the engine may still work on it
        self._log_read = 0
        self._drafting: float | None = None

    def alive(self) -> bool:
        if self._running.process is not None:
            return self._running.exit_status() is None
        try:
            return self._running.wire.exchange("/health", timeout=_TIMEOUT).status == 200  # noqa: PLR2004  HTTP OK
        except OSError:
            return False

    def log_tail(self) -> str | None:
        return self._running.log_tail()

    def tokenize(self, text: str) -> list[int]:
        tokens = self._ask("/tokenize", {"content": text, "add_special": True, "parse_special": True}).get("tokens")
        if not isinstance(tokens, list):
            raise bad_answer("/tokenize gave no tokens")
        return tokens

    def count_tokens(self, text: str) -> int:
        return len(self.tokenize(text))

    def apply_template(self, messages: Sequence[Message], *, thinking: bool | None) -> str:
        body: dict[str, Any] = {"messages": [{"role": m.role, "content": m.content} for m in messages]}
        if thinking is not None:
            body["chat_template_kwargs"] = {"enable_thinking": thinking}
        prompt = self._ask("/apply-template", body).get("prompt")
        if not isinstance(prompt, str):
            raise bad_answer("/apply-template gave no prompt")
        return prompt

    def generate(self, request: Request) -> Answer:
        if request.shared:
            return self._generate_shared(request)
        if not self._idle or self._running.process is None:  # others may use a server that is not ours
            self._metrics = self._metrics_when_idle()
        self._idle = False
        with self._running.faults(request.timeout):
            exchange = self._running.wire.exchange("/completion", body(request), timeout=request.timeout)
            chunks = read_chunks(exchange, stream=request.streamed)
        before, self._metrics = self._metrics, self._read_metrics()
        self._idle = True
        answer = read_answer(chunks, sent=exchange.sent, request=request, before=before, after=self._metrics)
        if (rule := self._rule(request, answer)) is None:
            return answer
        if answer.draft_seconds is not None:
            return replace(answer, verification_rule=rule)
        draft_seconds, logged = self._logged()
        return replace(
            answer,
            counts=counters.completed(answer.counts, logged),
            verification_rule=rule,
            draft_seconds=draft_seconds,
        )

    def _generate_shared(self, request: Request) -> Answer:
        """Called by several threads at once: the wire's client is made for that, and nothing of the session is read.

        /metrics and the log are sums over all slots, so that only the answer's own timings count.
        """
        self._idle = False
        with self._running.faults(request.timeout):
            exchange = self._running.wire.exchange("/completion", body(request), timeout=request.timeout)
            chunks = read_chunks(exchange, stream=request.streamed)
        answer = read_answer(chunks, sent=exchange.sent, request=request, before=None, after=None)
        return replace(answer, verification_rule=self._rule(request, answer))

    def _rule(self, request: Request, answer: Answer) -> Rule | None:
        if answer.observed.get("method") == "none":
            return None
        return self._sampling_rule if request.temperature > 0 else "greedy-match"

    def _logged(self) -> tuple[float | None, dict[str, int]]:
        """Drafting time of the last request (what the log adds up, less what it said before), and the log's counts."""
        if self._running.log is None:
            return None, {}
        deadline = time.perf_counter() + _LOG_LAG
        while True:
            new = self._running.logged(self._log_read)
            complete = new[: new.rfind(b"\n") + 1]
            text = complete.decode("utf-8", errors="replace")
            total = logs.drafting_seconds(text)
            if total is not None or time.perf_counter() > deadline:
                self._log_read += len(complete)
                before, self._drafting = self._drafting or 0.0, total or self._drafting
                return None if total is None else max(0.0, total - before), logs.counts(text)
            time.sleep(0.002)

    def _metrics_when_idle(self) -> dict[str, float] | None:
        deadline = time.perf_counter() + _CANCELLING
        while True:
            metrics = self._read_metrics()
            if metrics is None or not metrics.get("requests_processing") or time.perf_counter() > deadline:
                return metrics
            time.sleep(0.01)

    def _read_metrics(self) -> dict[str, float] | None:
        """The engine's counters; None when it does not show them."""
        with self._running.faults(_TIMEOUT):
            exchange = self._running.wire.exchange("/metrics", timeout=_TIMEOUT)
        if exchange.status != 200:  # noqa: PLR2004  HTTP OK
            return None
        return counters.parse_metrics(exchange.body.decode("utf-8", errors="replace")) or None

    def _ask(self, path: str, body: Any = None) -> dict[str, Any]:
        with self._running.faults(_TIMEOUT):
            exchange = self._running.wire.exchange(path, body, timeout=_TIMEOUT)
        return _json(exchange)


@understood()
def read_answer(
    chunks: Sequence[tuple[float, dict[str, Any]]],
    *,
    sent: float,
    request: Request,
    before: counters.Metrics | None,
    after: counters.Metrics | None,
) -> Answer:
    """What `/completion` answered; `chunks` are (time of arrival, decoded chunk), the last one with `stop`."""
    ended, last = chunks[-1]
    timings: dict[str, Any] = last["timings"]
    emitted: int | None = timings.get("predicted_n")
    progress = [c["prompt_progress"]["processed"] for _, c in chunks if "prompt_progress" in c]  # the first is a start
    tokens = [(at, c) for at, c in chunks[:-1] if "prompt_progress" not in c and c.get("tokens")]
    ids = [token for _, c in tokens for token in c["tokens"]] if request.streamed else last.get("tokens", [])
    complete = len(ids) == emitted  # the server withholds tokens that end within a UTF-8 character
    if last.get("truncated"):
        raise TrialError(
            "context-exceeded",
            f"the context was full after {emitted} of {request.output_tokens} tokens",
            hint="raise context_size, or shorten the prompt or the answer",
        )
    first = tokens[0][0] if tokens else None
    seen = tokens[-1][1].get("tokens_predicted", len(ids)) if tokens else 0
    last_token = tokens[-1][0] if tokens and seen == emitted else ended
    observed = _observed(last.get("generation_settings", {}))
    types = observed.get("speculative.types")
    return Answer(
        text="".join(c.get("content", "") for _, c in chunks),
        output_ids=tuple(ids) if complete else None,
        prompt_tokens=last.get("tokens_evaluated"),
        cached_tokens=timings.get("cache_n"),
        prefilled_tokens=timings.get("prompt_n"),
        output_tokens=emitted,
        counts=counters.draft_counts(
            timings,
            types=None if types is None else str(types),
            prompt_passes=sum(b > a for a, b in pairwise(progress)) if progress else None,
            before=before,
            after=after,
        ),
        prefill_seconds=_seconds(timings.get("prompt_ms")),
        decode_seconds=_seconds(timings.get("predicted_ms")),
        draft_seconds=_seconds(timings.get("draft_ms")),
        first_token=None if first is None else first - sent,
        last_token=last_token - sent if tokens else None,  # of a stream only: the whole answer also carries the text
        total=last_token - sent,
        first_chunk_tokens=max((c.get("tokens_predicted", 1) for at, c in tokens if at == first), default=None),
        stop_reason=_STOP_REASONS.get(last.get("stop_type", "")),
        verification_rule=None,
        steps=_steps([c for _, c in tokens], timings) if request.steps else None,
        top_two_gaps=(
            tuple(counters.top_two_gap(c.get("completion_probabilities")) for _, c in tokens)
            if request.top_two and complete
            else None
        ),
        observed=observed,
    )


@understood()
def read_chunks(exchange: Exchange, *, stream: bool) -> list[tuple[float, dict[str, Any]]]:
    """The decoded chunks of an answer, the last one with `stop`. TrialError for an error, and when it breaks off."""
    if not stream:
        whole = _json(exchange)
        if not isinstance(whole.get("timings"), dict):
            raise bad_answer("no timings")
        return [(exchange.parts[-1][0], whole)]
    if exchange.status != 200:  # noqa: PLR2004  HTTP OK
        _json(exchange)
        raise bad_answer(f"status {exchange.status} without an error")
    chunks = []
    for event in events(exchange.parts):
        try:
            chunk = decoded(event.data)
        except ValueError as error:
            raise bad_answer(f"not JSON: {event.data[:80]!r}") from error
        if event.name == "error" or (isinstance(chunk, dict) and "error" in chunk):
            raise _refused(chunk)
        if not isinstance(chunk, dict):
            raise bad_answer(f"not an object: {event.data[:80]!r}")
        chunks.append((event.at, chunk))
    if not chunks or not chunks[-1][1].get("stop") or not isinstance(chunks[-1][1].get("timings"), dict):
        raise bad_answer("the stream ended without the engine's timings")
    return chunks


def body(request: Request) -> dict[str, Any]:
    """What is sent to `/completion`."""
    asked: dict[str, Any] = {
        "prompt": request.prompt,
        "n_predict": request.output_tokens,
        "temperature": request.temperature,
        "seed": request.seed,
        "top_k": request.sampling.top_k,
        "top_p": request.sampling.top_p,
        "min_p": request.sampling.min_p,
        "ignore_eos": request.ignore_eos,
        "cache_prompt": request.reuse_prompt,
        "return_tokens": True,
        "stream": request.streamed,
    }
    if request.streamed:
        asked["return_progress"] = True  # one chunk for each pass over the prompt
    if request.json_schema is not None:
        asked["json_schema"] = json.loads(request.json_schema)
    if request.top_two:
        asked["n_probs"] = 2
    if request.steps:
        asked["timings_per_token"] = True
    return asked


def _steps(chunks: Sequence[Mapping[str, Any]], final: Mapping[str, Any]) -> tuple[Step, ...] | None:
    timings = [chunk["timings"] for chunk in chunks if "timings" in chunk]
    return counters.verification_steps([*timings, final]) if timings else None


def _observed(settings: Mapping[str, Any]) -> dict[str, Setting]:
    """The sampling that the engine applied, its speculative types as it names them, and the method they amount to."""
    observed: dict[str, Setting] = {key: settings[key] for key in _SAMPLING if settings.get(key) is not None}
    if (types := settings.get("speculative.types")) is not None:
        used = [name for name in str(types).split(",") if name not in {"", "none"}]
        observed["speculative.types"] = ",".join(used) or "none"
        observed["method"] = "+".join(_METHOD_OF_TYPE.get(name, name) for name in used) or "none"
    return observed


def _json(exchange: Exchange) -> dict[str, Any]:
    try:
        value = decoded(exchange.body)
    except ValueError as error:
        raise bad_answer(f"status {exchange.status}, not JSON: {exchange.body[:80]!r}") from error
    if not isinstance(value, dict):
        raise bad_answer(f"not an object: {exchange.body[:80]!r}")
    if "error" in value or exchange.status >= 400:  # noqa: PLR2004  HTTP errors begin there
        raise _refused(value)
    return value


def _refused(answer: Any) -> TrialError:
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    message = str(error.get("message", error) if isinstance(error, dict) else error)
    if "context size" in message.lower():
        return TrialError("context-exceeded", message, hint="raise context_size, or shorten the prompt")
    return TrialError("refused", f"the engine refused: {message}", hint="change what the message names")


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
