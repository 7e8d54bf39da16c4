"""An engine that misbehaves on request: a real program with a real HTTP server that speaks llama-server's dialect.

It understands --model and --port; how it behaves is in the model's name and in the prompt:
`dies-at-start`, `never-ready`; `DIE`, `HANG`, `NOT JSON`, `CUT`, `TOO LONG`, `ERROR`.
"""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HELP = "--model FILE\n--port N\n--host H\n--parallel N\n--metrics\n--verbosity N\n--spec-type NAME\n"
decodes = 0


class Dialect(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model = ""

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def send(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if self.path == "/health":
            self.send(503 if "never-ready" in self.model else 200, "{}")
        elif self.path == "/metrics":
            counters = "draft_tokens", "accepted_tokens", "drafts"
            lines = [f"llamacpp:spec_decode_num_{name}_total 0" for name in counters]
            self.send(200, "\n".join([f"llamacpp:n_decode_total {decodes}", *lines]) + "\n")
        else:
            settings = {"n_ctx": 512}
            self.send(200, json.dumps({"build_info": "b7-abc", "default_generation_settings": settings}))

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tokenize":
            self.send(200, json.dumps({"tokens": list(range(len(asked["content"].split())))}))
        elif self.path == "/apply-template":
            self.send(200, json.dumps({"prompt": " ".join(m["content"] for m in asked["messages"])}))
        elif "TOO LONG" in asked["prompt"]:
            message = "request (9 tokens) exceeds the available context size (8 tokens)"
            self.send(400, json.dumps({"error": {"code": 400, "message": message, "type": "x"}}))
        else:
            self.complete(asked["prompt"], asked["n_predict"])

    def complete(self, prompt: str, count: int) -> None:
        global decodes  # noqa: PLW0603  the counter of this process
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.event({"content": "", "tokens": [0], "prompt_progress": {"processed": 0}})
        self.event({"content": "", "tokens": [0], "prompt_progress": {"processed": 4}})
        for n in range(count):
            self.event({"content": f"w{n} ", "tokens": [n], "stop": False, "tokens_predicted": n + 1})
            if n == 1:
                self.misbehave(prompt)
        decodes += count
        timings = {"prompt_n": 4, "prompt_ms": 1.0, "predicted_n": count, "predicted_ms": 2.0, "cache_n": 0}
        settings = {"speculative.types": "none", "temperature": 0.0}
        last = {"content": "", "tokens": [], "stop": True, "stop_type": "limit", "tokens_evaluated": 4}
        self.event({**last, "timings": timings, "generation_settings": settings})
        self.wfile.write(b"0\r\n\r\n")

    def misbehave(self, prompt: str) -> None:
        if "DIE" in prompt:
            sys.stderr.write("E fake: GGML_ASSERT(memory) failed\n")
            sys.stderr.flush()
            os._exit(9)
        if "HANG" in prompt:
            time.sleep(60)
        if "NOT JSON" in prompt:
            self.chunk(b"data: {oops\n\n")
        if "ERROR" in prompt:
            self.event({"error": {"message": "Compute error."}})
        if "CUT" in prompt:
            self.connection.shutdown(2)

    def event(self, content: dict[str, Any]) -> None:
        self.chunk(b"data: " + json.dumps(content).encode() + b"\n\n")

    def chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()


def main() -> None:
    if "--help" in sys.argv:
        sys.stdout.write(HELP)
        return
    if sys.argv[1:] == ["help", "serve"]:
        sys.stdout.write(f"{HELP}--threads N\n--threads-batch N\n")
        return
    given = dict(zip(sys.argv, sys.argv[1:], strict=False))
    Dialect.model = given["--model"]
    if "dies-at-start" in Dialect.model:
        sys.exit("I fake: reading\nE fake: failed to load model")
    ThreadingHTTPServer(("127.0.0.1", int(given["--port"])), Dialect).serve_forever()


def install(folder: Path) -> Path:
    """An executable file that runs this program."""
    path = folder / "fake-server"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} "$@"\n')
    path.chmod(0o755)
    return path


if __name__ == "__main__":
    main()
