"""llama.cpp's `/completion` dialect over HTTP for a model that Python holds. Needs the standard library only.

Scripts of this folder run in the interpreter that has their engine, where specbench need not be installed:
`python SCRIPT WORDS` finds this file beside itself as `serving`. They log to standard error, end when standard input
closes, and with `--check` they import the engine, say which it is and end.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from typing import Any, Protocol

_SAMPLING = ("temperature", "seed", "top_k", "top_p", "min_p", "ignore_eos")
_COUNTERS = tuple(f"spec_decode_num_{name}_total" for name in ("draft_tokens", "accepted_tokens", "drafts"))
_DECODES, _POSITIONS = "n_decode_total", "spec_decode_num_accepted_tokens_per_pos_total"


class Refused(Exception):  # noqa: N818  it is an answer
    """What was asked cannot be done; the model can go on. Raised while loading, or before the first step."""


@dataclass(frozen=True)
class Properties:
    """What the model says about itself. `types`: the method as llama.cpp names it, as `draft-simple`; or `none`.

    `draft_tokens_max`: the longest draft; 0 without a method. `model_type`: of its weights, as `F16`. `ignored`: the
    sampling settings that the method does not obey, with the values that it uses. `own_clock`: the seconds of a step's
    phases are all that it took; the model works on in a thread of its own while answers are sent.
    """

    version: str
    types: str
    draft_tokens_max: int
    context_size: int
    chat_template: str | None = None
    model_type: str | None = None
    ignored: Mapping[str, float] = field(default_factory=dict)
    own_clock: bool = False


@dataclass(frozen=True)
class Asked:
    """One generation. `top_two`: with the log-probabilities of the two likeliest tokens at each place."""

    prompt: list[int]
    output_tokens: int
    temperature: float
    seed: int
    top_k: int
    top_p: float
    min_p: float
    ignore_eos: bool
    json_schema: Any = None
    top_two: bool = False


@dataclass(frozen=True)
class PromptPass:
    """The target has read so many tokens of the prompt in all. One for each of its passes over the prompt."""

    processed: int


@dataclass(frozen=True)
class Step:
    """What one target pass yields: first the token of the prompt pass, then one step for each verification.

    `accepted` are those of the `drafted` tokens that stand in `tokens`. `seconds` by phase, as `draft` and `verify`.
    `stop`: why nothing follows, `eos` or `context`; the wanted length needs none. `draft_passes`: those that the target
    itself made to draft.
    """

    tokens: Sequence[int]
    text: str
    drafted: int = 0
    accepted: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    top_two: Sequence[tuple[float, float]] = ()
    stop: str | None = None
    draft_passes: int = 0


Events = Generator[PromptPass | Step, None, None]


class Model(Protocol):
    """All calls come from the main thread, one at a time. A Refused is the client's fault, any other error the end."""

    properties: Properties

    def tokenize(self, text: str) -> list[int]:
        """As a prompt: with the special tokens that the model wants, and those in the text."""
        ...

    def apply_template(self, messages: list[dict[str, str]], *, thinking: bool | None) -> str: ...

    def generate(self, asked: Asked) -> Events:
        """Closed early when the client has gone."""
        ...


def main(
    parser: argparse.ArgumentParser,
    *,
    package: str,
    identify: Callable[[], tuple[str, str | None]],
    load: Callable[[argparse.Namespace], Model],
) -> None:
    """What a script does: tell who the engine is and end, or load a model and serve it until standard input closes.

    `identify` imports the engine and returns its version and the library that does the work; `package`: what pip
    installs it as. Neither writes to standard output.
    """
    parser.add_argument("--port", type=int)
    parser.add_argument("--check", action="store_true", help="import the engine, say which it is, and end")
    asked = parser.parse_args()
    try:
        version, file = identify()
    except (AttributeError, ImportError, OSError, RuntimeError) as error:
        again = "" if isinstance(error, ModuleNotFoundError) else " --force-reinstall"
        sys.exit(f"error: {error}\nhint: {sys.executable} -m pip install{again} {package}")
    if asked.check:
        sys.stdout.write(json.dumps({"version": version, "file": file}))
        return
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        model = load(asked)
    except Refused as error:
        sys.exit(f"error: {error}")
    serve(model, asked.port)


def serve(model: Model, port: int) -> None:
    """Answer on 127.0.0.1 for ever."""
    server = _Server(model, port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while True:  # here, because OpenMP keeps its threads by the thread that calls it
        connection, body, done = server.jobs.get()
        try:
            connection.work(body)
        except Refused as error:
            connection.refuse(400, str(error))
        except ConnectionError:
            pass  # the client has gone
        finally:
            server.processing = 0
            done.set()


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)  # the engine may be at work, and nobody is left to wait for it


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, model: Model, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Connection)
        self.model = model
        self.jobs: SimpleQueue[tuple[_Connection, Any, threading.Event]] = SimpleQueue()
        self.processing = 0
        self.totals = dict.fromkeys((_DECODES, *_COUNTERS), 0)
        self.by_position = [0] * model.properties.draft_tokens_max

    def count(self, event: PromptPass | Step, *, verified: bool) -> None:
        self.totals[_DECODES] += verified or isinstance(event, PromptPass)
        if isinstance(event, Step):
            for name, more in zip(_COUNTERS, (event.drafted, event.accepted, bool(event.drafted)), strict=True):
                self.totals[name] += more
            for position in range(event.accepted):
                self.by_position[position] += 1

    def metrics(self) -> str:
        """In Prometheus' format, by llama.cpp's names. Positions only once something was drafted."""
        shown = {**self.totals, "requests_processing": self.processing}
        if self.totals[_COUNTERS[2]]:
            shown |= {f'{_POSITIONS}{{position="{i}"}}': n for i, n in enumerate(self.by_position)}
        return "".join(f"llamacpp:{name} {value}\n" for name, value in shown.items())


class _Connection(BaseHTTPRequestHandler):
    server: _Server
    disable_nagle_algorithm = True
    _began = False

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its name in the base class
        """Say nothing: one line a request would hide the engine's own."""

    def _allowed(self) -> bool:
        """Whether the request has the key of this start; anybody may ask whether the engine is ready."""
        key = os.environ.get("SPECBENCH_ENGINE_KEY")
        if not key or self.path == "/health" or self.headers.get("Authorization") == f"Bearer {key}":
            return True
        self.refuse(401, "Invalid API Key")
        return False

    def do_GET(self) -> None:
        if not self._allowed():
            return
        told = self.server.model.properties
        if self.path == "/metrics":
            self._send(self.server.metrics().encode(), kind="text/plain")
        elif self.path == "/props":
            shown: dict[str, Any] = {"build_info": told.version, "model_ftype": told.model_type, "total_slots": 1}
            shown |= {"default_generation_settings": {"n_ctx": told.context_size}, "chat_template": told.chat_template}
            self.answer({key: value for key, value in shown.items() if value is not None})
        else:
            self.answer({"status": "ok"}, 200 if self.path == "/health" else 404)

    def do_POST(self) -> None:
        if not self._allowed():
            return
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        done = threading.Event()
        self.server.jobs.put((self, body, done))
        done.wait()

    def work(self, body: dict[str, Any]) -> None:
        """Answer a POST, in the main thread."""
        model = self.server.model
        if not isinstance(body, dict) or not any(key in body for key in ("content", "messages", "prompt")):
            raise Refused("the request has nothing to read")
        if self.path == "/tokenize":
            self.answer({"tokens": model.tokenize(body["content"])})
        elif self.path == "/apply-template":
            thinking = body.get("chat_template_kwargs", {}).get("enable_thinking")
            self.answer({"prompt": model.apply_template(body["messages"], thinking=thinking)})
        elif self.path == "/completion":
            self.server.processing = 1
            self._complete(body)
        else:
            self.answer({"error": {"message": "File Not Found"}}, 404)

    def _complete(self, body: dict[str, Any]) -> None:
        model, told, stream = self.server.model, self.server.model.properties, body.get("stream", False)
        prompt = model.tokenize(body["prompt"]) if isinstance(body["prompt"], str) else list(body["prompt"])
        if len(prompt) >= told.context_size:
            what = f"request ({len(prompt)} tokens) exceeds the available context size ({told.context_size} tokens)"
            raise Refused(what)
        settings: dict[str, Any] = {key: body[key] for key in _SAMPLING}
        schema, top_two = body.get("json_schema"), bool(body.get("n_probs"))
        asked = Asked(prompt=prompt, output_tokens=body["n_predict"], **settings, json_schema=schema, top_two=top_two)
        seen = _Seen(body, len(prompt), told.types, own_clock=told.own_clock)
        events = model.generate(asked)
        while (event := seen.next(events)) is not None:
            self.server.count(event, verified=bool(seen.tokens))
            chunks = seen.chunks(event)
            if stream:
                self._send_events(chunks)
            readable, _, _ = select.select([self.connection], [], [], 0)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                events.close()
                return  # the client has gone
        last = seen.last({**settings, **told.ignored, "speculative.types": told.types}, whole=not stream)
        if stream:
            self._send_events([last])
        else:
            self.answer(last)

    def refuse(self, status: int, message: str) -> None:
        """Say why; in a stream that has begun as its last event."""
        told = {"error": {"code": status, "message": message, "type": "invalid_request_error"}}
        if self._began:
            self._send_events([told])
        else:
            self.answer(told, status)

    def answer(self, value: Any, status: int = 200) -> None:
        self._send(json.dumps(value).encode(), kind="application/json", status=status)

    def _send_events(self, chunks: Sequence[Any]) -> None:
        self._send(b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks), "text/event-stream")

    def _send(self, content: bytes, kind: str, status: int = 200) -> None:
        if not self._began:
            self._began = True
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
        self.wfile.write(content)


class _Seen:
    """One generation as far as it has come. Its times are those inside the model: sending costs it nothing."""

    def __init__(self, body: Mapping[str, Any], prompt_tokens: int, types: str, *, own_clock: bool) -> None:
        self.tokens: list[int] = []
        self._body, self._text, self._stop, self._started = body, "", "", False
        self._timings = {
            "cache_n": 0,
            "prompt_n": prompt_tokens,
            "prompt_ms": 0.0,
            "predicted_n": 0,
            "predicted_ms": 0.0,
        }
        self._timings |= {} if types == "none" else {"draft_n": 0, "draft_n_accepted": 0}
        self._own_clock = own_clock

    def next(self, events: Events) -> PromptPass | Step | None:
        """The next event; its time belongs to the prompt until there is a token."""
        began = time.perf_counter()
        event = next(events, None)
        if not (self.tokens and self._own_clock):
            self._timings["predicted_ms" if self.tokens else "prompt_ms"] += (time.perf_counter() - began) * 1000
        elif isinstance(event, Step):
            self._timings["predicted_ms"] += sum(event.seconds.values()) * 1000
        return event

    def chunks(self, event: PromptPass | Step) -> list[dict[str, Any]]:
        """Take the event in; its chunks, one a token, all with the times after it. Text stands in the last."""
        if isinstance(event, PromptPass):
            done = [event.processed] if self._started else [0, event.processed]
            self._started = True
            progress = [{"content": "", "stop": False, "prompt_progress": {"processed": n}} for n in done]
            return progress if self._body.get("return_progress") else []
        told = {"predicted_n": len(event.tokens), **{f"{phase}_ms": s * 1000 for phase, s in event.seconds.items()}}
        told |= {"draft_n": event.drafted, "draft_n_accepted": event.accepted} if "draft_n" in self._timings else {}
        told |= {"draft_passes": event.draft_passes} if event.draft_passes else {}
        for name, more in told.items():
            self._timings[name] = self._timings.get(name, 0) + more
        chunks: list[dict[str, Any]] = []
        for token in event.tokens:
            self.tokens.append(token)
            chunks.append({"content": "", "tokens": [token], "stop": False, "tokens_predicted": len(self.tokens)})
            if self._body.get("timings_per_token"):
                chunks[-1]["timings"] = dict(self._timings)
        for chunk, pair in zip(chunks, event.top_two, strict=False):
            chunk["completion_probabilities"] = [{"top_logprobs": [{"logprob": value} for value in pair]}]
        chunks[-1]["content"] = event.text
        self._text += event.text
        self._stop = event.stop or ""
        return chunks

    def last(self, settings: dict[str, Any], *, whole: bool) -> dict[str, Any]:
        """What ends a stream, or is the whole answer."""
        return {
            "content": self._text if whole else "",
            "tokens": self.tokens if whole else [],
            "stop": True,
            "stop_type": "eos" if self._stop == "eos" else "limit",
            "truncated": self._stop == "context",
            "tokens_predicted": len(self.tokens),
            "tokens_evaluated": self._timings["prompt_n"],
            "generation_settings": settings,
            "timings": self._timings,
        }
