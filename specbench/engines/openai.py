"""A server that speaks OpenAI's chat completions. Tokens come from `usage`, never from chunks.

The server applies the chat template, so the prompt of a request is the conversation as JSON.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from specbench.engines import counters, logs
from specbench.engines.base import Answer, EngineInfo, Reason, Request, StopReason, TrialError, bad_answer, understood
from specbench.engines.server import Running
from specbench.engines.stream import events
from specbench.engines.wire import Exchange
from specbench.records import Message
from specbench.untrusted import decoded

_CHAT, _MODELS = "/v1/chat/completions", "/v1/models"
_TIMEOUT = 60.0  # for everything but a generation
_STOP_REASONS: dict[str, StopReason] = {"length": "length", "stop": "eos"}
_TEXT = ("reasoning_content", "reasoning", "content")
_VLLM_PREFILL, _VLLM_DECODE = "time_to_first_token_ms", "generation_time_ms"  # from the first token to the last
_LOG_LAG = 0.2  # seconds that the engine's log may be late


class OpenAISession:
    """One chat server with one request at a time. `model` None: the first that the server names.

    `fault`: why it must not be asked to sample (above temperature 0), and what helps.
    """

    def __init__(
        self, running: Running, *, info: EngineInfo, model: str | None, fault: tuple[str, str] | None = None
    ) -> None:
        self._running = running
        self._fault = fault
        first = self._first_model()
        self._model = model or str(first.get("id", "default"))
        self.info = replace(
            info,
            version=info.version or self._told("/version").get("version"),
            context_size=first.get("max_model_len"),
            argv=running.argv,
            environment=running.environment,
            load_seconds=running.load_seconds,
            observed={**info.observed, "model": self._model},
            log=None if running.log is None else running.log.name,
        )

    def alive(self) -> bool:
        if self._running.process is not None:
            return self._running.exit_status() is None
        try:
            return self._running.wire.exchange(_MODELS, timeout=_TIMEOUT).status < 500  # noqa: PLR2004  server errors
        except OSError:
            return False

    def log_tail(self) -> str | None:
        return self._running.log_tail()

    def apply_template(self, messages: Sequence[Message], *, thinking: bool | None) -> str:
        """The conversation, and the switch for a template that knows it."""
        conversation: dict[str, Any] = {"messages": [{"role": m.role, "content": m.content} for m in messages]}
        if thinking is not None:
            conversation["chat_template_kwargs"] = {"enable_thinking": thinking}
        return json.dumps(conversation, ensure_ascii=False)

    def tokenize(self, text: str) -> list[int]:
        tokens = self._told("/tokenize", {"model": self._model, "add_generation_prompt": True, **json.loads(text)})
        if not isinstance(ids := tokens.get("tokens"), list) or not ids:
            raise TrialError(
                "refused", f"the server tells no token ids ({len(text)} characters)", hint="use an engine that does"
            )
        return ids

    def count_tokens(self, text: str) -> int:
        """Where the server has no /tokenize (vLLM has), asked with an answer of one token."""
        try:
            return len(self.tokenize(text))
        except TrialError:
            pass
        request = Request(prompt=text, output_tokens=1, temperature=0, seed=0, ignore_eos=True, timeout=_TIMEOUT)
        tokens = self.generate(request).prompt_tokens
        if tokens is None:
            raise bad_answer("usage without prompt_tokens")
        return tokens

    def generate(self, request: Request) -> Answer:
        if self._fault is not None and request.temperature > 0:
            raise TrialError("refused", self._fault[0], hint=self._fault[1])
        alone = not request.shared  # /metrics and the log are sums over all that run at the same time
        before, written = (self._metrics(), self._log_size()) if alone else (None, 0)
        with self._running.faults(request.timeout):
            exchange = self._running.wire.exchange(_CHAT, body(request, model=self._model), timeout=request.timeout)
            chunks = read_chunks(exchange)
        logged = self._logged(written) if alone else {}
        after = self._metrics() if alone else None
        return read_answer(chunks, sent=exchange.sent, logged=logged, before=before, after=after)

    def _first_model(self) -> dict[str, Any]:
        """Empty where it is not listed: pti_server and others have one model."""
        listed = self._told(_MODELS).get("data")
        return listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}

    def _told(self, path: str, body: Any = None) -> dict[str, Any]:
        """The server's answer; empty where it has none of the kind."""
        with self._running.faults(_TIMEOUT):
            exchange = self._running.wire.exchange(path, body, timeout=_TIMEOUT)
        try:
            answer = decoded(exchange.body)
        except ValueError:
            return {}
        return answer if isinstance(answer, dict) and exchange.status == 200 else {}  # noqa: PLR2004  HTTP OK

    def _metrics(self) -> dict[str, float] | None:
        with self._running.faults(_TIMEOUT):
            exchange = self._running.wire.exchange("/metrics", timeout=_TIMEOUT)
        ok = exchange.status == 200  # noqa: PLR2004  HTTP OK
        return (counters.parse_metrics(exchange.body.decode("utf-8", errors="replace")) or None) if ok else None

    def _log_size(self) -> int:
        try:
            return 0 if self._running.log is None else self._running.log.stat().st_size
        except OSError:  # its folder is gone
            return 0

    def _logged(self, written: int) -> dict[str, int]:
        """Counts that only the log shows, from what was written since."""
        deadline = time.perf_counter() + _LOG_LAG
        while self._running.log is not None:
            found = logs.counts(self._running.logged(written).decode("utf-8", errors="replace"))
            if found or time.perf_counter() > deadline:
                return found
            time.sleep(0.01)
        return {}


def body(request: Request, *, model: str) -> dict[str, Any]:
    """What is sent. Streamed always: a server without times of its own is timed by its chunks."""
    asked: dict[str, Any] = {
        **json.loads(str(request.prompt)),
        "model": model,
        "max_tokens": request.output_tokens,
        "temperature": request.temperature,
        "seed": request.seed,
        "top_k": request.sampling.top_k,
        "top_p": request.sampling.top_p,
        "min_p": request.sampling.min_p,
        "ignore_eos": request.ignore_eos,  # vLLM, SGLang and llama.cpp know it; others say so by stopping early
        "min_tokens": request.output_tokens if request.ignore_eos else 0,  # vLLM: forbids the end, as llama.cpp does
        "cache_prompt": False,
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_token_ids": True,  # vLLM: the ids of each chunk
        "return_spec_tokens_details": True,  # SGLang: the counts of the request
    }
    if request.top_two:
        asked |= {"logprobs": True, "top_logprobs": 2}
    if request.json_schema is not None:
        schema = {"name": "answer", "schema": json.loads(request.json_schema), "strict": True}
        asked["response_format"] = {"type": "json_schema", "json_schema": schema}
    return asked


@understood()
def read_chunks(exchange: Exchange) -> list[tuple[float, dict[str, Any]]]:
    """The decoded chunks with their times of arrival. TrialError for an error, and without an answer."""
    if exchange.status != 200:  # noqa: PLR2004  HTTP OK
        raise _refused(exchange.status, exchange.body.decode("utf-8", errors="replace"))
    chunks = []
    for event in events(exchange.parts):
        try:
            chunk = decoded(event.data)
        except ValueError as error:
            raise bad_answer(f"not JSON: {event.data[:80]!r}") from error
        if not isinstance(chunk, dict) or event.name == "error" or chunk.get("error"):
            raise _refused(exchange.status, event.data)
        chunks.append((event.at, chunk))
    if not any(_choice(chunk).get("finish_reason") for _, chunk in chunks):
        raise bad_answer("the stream ended without a finish_reason")
    return chunks


@understood()
def read_answer(
    chunks: Sequence[tuple[float, dict[str, Any]]],
    *,
    sent: float,
    logged: Mapping[str, int],
    before: counters.Metrics | None,
    after: counters.Metrics | None,
) -> Answer:
    """What the chunks say. One text chunk that arrives first and alone is the one token of the prompt pass."""
    whole: dict[str, Any] = {}
    for _, chunk in chunks:
        whole |= {key: value for key, value in chunk.items() if value is not None}
    usage, timings = whole.get("usage", {}), whole.get("timings", {})
    own: Mapping[str, float] = usage.get("timings") or {}
    own_metrics: Mapping[str, Any] = whole.get("metrics") or {}  # vLLM
    texts = [(at, text) for at, chunk in chunks if (text := _text(chunk))]
    ids = [(at, tokens) for at, chunk in chunks if (tokens := _choice(chunk).get("token_ids"))]
    first, last = ((ids or texts)[0][0], (ids or texts)[-1][0]) if ids or texts else (None, None)
    gaps = [
        counters.top_two_gap([entry])
        for _, chunk in chunks
        for entry in (_choice(chunk).get("logprobs") or {}).get("content") or ()
    ]
    complete = bool(ids) and sum(len(tokens) for _, tokens in ids) == usage.get("completion_tokens")
    ends = [reason for _, chunk in chunks if (reason := _choice(chunk).get("finish_reason"))]
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    prompt = usage.get("prompt_tokens")
    shown = {"system_fingerprint": whole.get("system_fingerprint"), "accept_rate": usage.get("accept_rate")}
    return Answer(
        text="".join(text for _, text in texts),
        output_ids=tuple(token for _, tokens in ids for token in tokens) if complete else None,
        prompt_tokens=prompt,
        cached_tokens=cached,
        prefilled_tokens=timings.get("prompt_n", None if prompt is None or cached is None else prompt - cached),
        output_tokens=usage.get("completion_tokens"),
        counts=counters.openai_counts(
            whole, logged=logged, before=before, after=after, chunk_tokens=[len(tokens) for _, tokens in ids]
        ),
        prefill_seconds=_first_seconds((timings, "prompt_ms"), (own, "prefill_ms"), (own_metrics, _VLLM_PREFILL)),
        decode_seconds=_first_seconds((timings, "predicted_ms"), (own, "decode_ms"), (own_metrics, _VLLM_DECODE)),
        draft_seconds=None,
        first_token=None if first is None else first - sent,
        last_token=None if last is None else last - sent,
        total=chunks[-1][0] - sent,
        first_chunk_tokens=_first_chunk(ids, first) if ids else _first_chunk([(at, "1") for at, _ in texts], first),
        stop_reason=_STOP_REASONS.get(ends[-1]),
        verification_rule=None,
        steps=None,
        top_two_gaps=tuple(gaps) if gaps else None,
        observed={key: value for key, value in shown.items() if value is not None},
    )


def _choice(chunk: Mapping[str, Any]) -> dict[str, Any]:
    choices = chunk.get("choices") or [{}]
    return choices[0] if isinstance(choices[0], dict) else {}


def _text(chunk: Mapping[str, Any]) -> str:
    delta = _choice(chunk).get("delta") or {}
    return "".join(delta.get(key) or "" for key in _TEXT)


def _refused(status: int, said: str) -> TrialError:
    reason: Reason = "context-exceeded" if "context" in said.lower() and "token" in said.lower() else "refused"
    hint = "shorten the prompt" if reason == "context-exceeded" else "change what the message names"
    return TrialError(reason, f"the server refused ({status}): {said[:300]}", hint=hint)


def _first_chunk(pieces: Sequence[tuple[float, Sequence[Any]]], first: float | None) -> int | None:
    """Tokens of what came first; None where more came at the same moment."""
    came = [piece for at, piece in pieces if at == first]
    return len(came[0]) if len(came) == 1 else None


def _first_seconds(*places: tuple[Mapping[str, Any], str]) -> float | None:
    """The first of the given milliseconds that is there."""
    found = [values[key] for values, key in places if values.get(key) is not None]
    return found[0] / 1000 if found else None
