"""llama.cpp's `/completion` dialect over HTTP for a model that Python holds. Needs the standard library only.

Scripts of this folder run in the interpreter that has their engine, where specbench need not be installed:
`python SCRIPT WORDS` finds this file beside itself as `serving`. They log to standard error, end when standard input
closes, and with `--check` as their only word they import the engine, print its version and end.
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
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from typing import Any, Protocol

_COUNTED = ("draft_tokens", "accepted_tokens", "drafts")
_SAMPLING = ("temperature", "seed", "top_k", "top_p", "min_p", "ignore_eos")


class Refused(Exception):  # noqa: N818  it is an answer
    """The request cannot be served; the model can go on. Raised by a model before its first step."""


@dataclass(frozen=True)
class Properties:
    """What the model says about itself. `types`: the method as llama.cpp names it, as `draft-simple`; or `none`.

    `draft_tokens_max`: the longest draft; 0 without a method. `model_type`: of its weights, as `F16`. `ignored`: the
    sampling settings that the method does not obey, with the values that it uses.
    """

    version: str
    types: str
    draft_tokens_max: int
    context_size: int
    chat_template: str | None = None
    model_type: str | None = None
    ignored: Mapping[str, float] = field(default_factory=dict)


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


class Model(Protocol):
    """All calls come from the main thread, one at a time. A Refused is the client's fault, any other error the end."""

    properties: Properties

    def tokenize(self, text: str) -> list[int]:
        """As a prompt: with the special tokens that the model wants, and those in the text."""
        ...

    def apply_template(self, messages: list[dict[str, str]], *, thinking: bool | None) -> str: ...

    def generate(self, asked: Asked) -> Generator[PromptPass | Step, None, None]:
        """Closed early when the client has gone."""
        ...


def main(
    parser: argparse.ArgumentParser,
    *,
    package: str,
    identify: Callable[[], tuple[str, str | None]],
    load: Callable[[argparse.Namespace], Model],
) -> None:
    """What a script does: tell who the engine is and end, or load a model and serve it.

    `identify` imports the engine and returns its version and the library that does the work; `package`: what pip
    installs it as. Both write nothing to standard output. `load` raises Refused for what it cannot load.
    """
    parser.add_argument("--port", type=int)
    parser.add_argument("--check", action="store_true", help="import the engine, say which it is, and end")
    asked = parser.parse_args()
    try:
        version, file = identify()
    except ModuleNotFoundError as error:
        sys.exit(f"error: {error}\nhint: {sys.executable} -m pip install {package}")
    except (AttributeError, ImportError, OSError, RuntimeError) as error:
        sys.exit(f"error: {error}\nhint: {sys.executable} -m pip install --force-reinstall {package}")
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
        self.totals = dict.fromkeys(("n_decode", *(f"spec_decode_num_{n}" for n in _COUNTED)), 0)
        self.by_position = [0] * model.properties.draft_tokens_max

    def count(self, step: Step) -> None:
        """Add a verification step."""
        self.totals["n_decode"] += 1
        for name, more in zip(_COUNTED, (step.drafted, step.accepted, bool(step.drafted)), strict=True):
            self.totals[f"spec_decode_num_{name}"] += more
        for position in range(step.accepted):
            self.by_position[position] += 1

    def metrics(self) -> str:
        """In Prometheus' format, by llama.cpp's names. Positions only once something was drafted."""
        lines = [f"{name}_total {value}" for name, value in self.totals.items()]
        if self.totals["spec_decode_num_drafts"]:
            name = "spec_decode_num_accepted_tokens_per_pos_total"
            lines += [f'{name}{{position="{i}"}} {n}' for i, n in enumerate(self.by_position)]
        lines.append(f"requests_processing {self.processing}")
        return "".join(f"llamacpp:{line}\n" for line in lines)


class _Connection(BaseHTTPRequestHandler):
    server: _Server
    _began = False
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its name in the base class
        """Say nothing: one line a request would hide the engine's own."""

    def do_GET(self) -> None:
        told = self.server.model.properties
        if self.path == "/health":
            self._answer({"status": "ok"})
        elif self.path == "/metrics":
            self._send(200, "text/plain", self.server.metrics().encode())
        elif self.path == "/props":
            shown: dict[str, Any] = {"build_info": told.version, "model_ftype": told.model_type, "total_slots": 1}
            shown |= {"default_generation_settings": {"n_ctx": told.context_size}, "chat_template": told.chat_template}
            self._answer({key: value for key, value in shown.items() if value is not None})
        else:
            self.refuse(404, "File Not Found")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        done = threading.Event()
        self.server.jobs.put((self, body, done))
        done.wait()

    def work(self, body: dict[str, Any]) -> None:
        """Answer a POST, in the main thread."""
        model = self.server.model
        if self.path == "/tokenize":
            self._answer({"tokens": model.tokenize(body["content"])})
        elif self.path == "/apply-template":
            thinking = body.get("chat_template_kwargs", {}).get("enable_thinking")
            self._answer({"prompt": model.apply_template(body["messages"], thinking=thinking)})
        elif self.path == "/completion":
            self.server.processing = 1
            self._complete(body)
        else:
            self.refuse(404, "File Not Found")

    def refuse(self, status: int, message: str) -> None:
        """As llama.cpp does it."""
        self._answer({"error": {"code": status, "message": message, "type": "invalid_request_error"}}, status)

    def _complete(self, body: dict[str, Any]) -> None:
        """One generation. Its times are those inside the model: what sending costs is no part of them."""
        model, told = self.server.model, self.server.model.properties
        settings = {key: body[key] for key in _SAMPLING}
        prompt = model.tokenize(body["prompt"]) if isinstance(body["prompt"], str) else list(body["prompt"])
        if len(prompt) >= told.context_size:
            what = f"request ({len(prompt)} tokens) exceeds the available context size ({told.context_size} tokens)"
            raise Refused(what)
        asked = Asked(
            prompt=prompt,
            output_tokens=body["n_predict"],
            json_schema=body.get("json_schema"),
            top_two=bool(body.get("n_probs")),
            **settings,
        )
        answer = _Answer(len(prompt), told.types)
        stream, waiting = body.get("stream", False), [answer.progress(0)] if body.get("return_progress") else []
        steps = model.generate(asked)
        while (event := answer.time(steps)) is not None:
            if isinstance(event, PromptPass):
                self.server.totals["n_decode"] += 1
                waiting += [answer.progress(event.processed)] if waiting else []
                continue
            if answer.tokens:
                self.server.count(event)
            chunks = answer.add(event, timed=body.get("timings_per_token", False))
            if stream:
                self._send_events([*waiting, *chunks])
                waiting = []
            if self._gone():
                steps.close()
                return
        last = answer.last({**settings, **told.ignored, "speculative.types": told.types}, stream=stream)
        if stream:
            self._send_events([last])
        else:
            self._answer(last)

    def _gone(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    def _answer(self, value: Any, status: int = 200) -> None:
        self._send(status, "application/json", json.dumps(value).encode())

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self._begin(status, kind)
        self.wfile.write(content)

    def _send_events(self, chunks: Sequence[Any]) -> None:
        if not self._began:
            self._begin(200, "text/event-stream")
        self.wfile.write(b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks))

    def _begin(self, status: int, kind: str) -> None:
        self._began = True
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()


class _Answer:
    """One generation as far as it has come."""

    def __init__(self, prompt_tokens: int, types: str) -> None:
        self.tokens: list[int] = []
        self._prompt_tokens, self._text, self._drafts = prompt_tokens, "", types != "none"
        self._prompt_seconds = self._seconds = 0.0
        self._drafted = self._accepted = self._draft_passes = 0
        self._phases: dict[str, float] = {}
        self._stop: str | None = None

    def time(self, steps: Iterator[PromptPass | Step]) -> PromptPass | Step | None:
        """The next event; its time belongs to the prompt until there is a token."""
        began = time.perf_counter()
        event = next(steps, None)
        if self.tokens:
            self._seconds += time.perf_counter() - began
        else:
            self._prompt_seconds += time.perf_counter() - began
        return event

    def progress(self, processed: int) -> dict[str, Any]:
        shown = {"total": self._prompt_tokens, "cache": 0, "processed": processed}
        return {"content": "", "tokens": [], "stop": False, "prompt_progress": shown}

    def add(self, step: Step, *, timed: bool) -> list[dict[str, Any]]:
        """Take the step in; its chunks, one a token, all with the times after it. Text stands in the last."""
        first = len(self.tokens) + 1
        self.tokens += step.tokens
        self._text += step.text
        self._drafted += step.drafted
        self._accepted += step.accepted
        self._draft_passes += step.draft_passes
        self._stop = step.stop
        for phase, seconds in step.seconds.items():
            self._phases[phase] = self._phases.get(phase, 0.0) + seconds
        chunks: list[dict[str, Any]] = [
            {"content": "", "tokens": [token], "stop": False, "tokens_predicted": first + i}
            for i, token in enumerate(step.tokens)
        ]
        for chunk, pair in zip(chunks, step.top_two, strict=False):
            chunk["completion_probabilities"] = [{"top_logprobs": [{"logprob": value} for value in pair]}]
        for chunk in chunks if timed else ():
            chunk["timings"] = self._timings()
        chunks[-1]["content"] = step.text
        return chunks

    def last(self, settings: dict[str, Any], *, stream: bool) -> dict[str, Any]:
        """What ends a stream, or is the whole answer."""
        return {
            "content": "" if stream else self._text,
            "tokens": [] if stream else self.tokens,
            "stop": True,
            "stop_type": "eos" if self._stop == "eos" else "limit",
            "truncated": self._stop == "context",
            "tokens_predicted": len(self.tokens),
            "tokens_evaluated": self._prompt_tokens,
            "generation_settings": settings,
            "timings": self._timings(),
        }

    def _timings(self) -> dict[str, Any]:
        drafts = {"draft_n": self._drafted, "draft_n_accepted": self._accepted} if self._drafts else {}
        drafts |= {"draft_passes": self._draft_passes} if self._draft_passes else {}
        return {
            "cache_n": 0,
            "prompt_n": self._prompt_tokens,
            "prompt_ms": self._prompt_seconds * 1000,
            "predicted_n": len(self.tokens),
            "predicted_ms": self._seconds * 1000,
            **drafts,
            **{f"{phase}_ms": seconds * 1000 for phase, seconds in self._phases.items()},
        }
