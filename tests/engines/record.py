"""Record what real engines answer: the transcripts that the parser tests read.

usage: python tests/engines/record.py TARGET.gguf DRAFT.gguf [LLAMA_SERVER]     writes tests/engines/transcripts/
"""

import sys
import tempfile
from pathlib import Path

from specbench.engines import catalog, llamacpp, openai, profile
from specbench.engines.base import Request
from specbench.engines.llamacpp import LlamaCppSession
from specbench.engines.openai import OpenAISession
from specbench.records import Contender, Message
from specbench.structs import replace

FOLDER = Path(__file__).with_name("transcripts")
PROMPT = "def add(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    return a - b\n\n\n" * 6
CASES = ("none", "draft-model", "ngram-simple", "ngram-cache")
SETTINGS = {"threads": 1, "context_size": 1024, "batch_size": 64}  # several passes over the prompt


def contender(engine: str, method: str, *, target: str, draft: str, executable: str | None) -> Contender:
    chosen = catalog.profiles(None)[engine]
    argv, environment = profile.command(
        chosen,
        target_model=target,
        draft_model=draft,
        method=method,
        settings={},
        engine_settings=SETTINGS,
        engine_args=(),
    )
    return Contender(
        name=f"{engine}-{method}",
        engine=engine,
        kind=chosen.kind,
        target_model=target,
        target_label="model",
        draft_model=draft,
        method=method,
        engine_settings=SETTINGS,
        executable=executable or chosen.executable,
        argv=argv,
        environment=environment,
    )


def record_chat(subject: Contender) -> None:
    """The same server asked in OpenAI's protocol: tests/engines/chats/, stream and counters."""
    with tempfile.TemporaryDirectory() as folder:
        chat = replace(subject, protocol="openai")
        with catalog.open_session(chat, log=Path(folder) / "engine.log", load_timeout=60) as session:
            assert isinstance(session, OpenAISession)
            wire = session._running.wire
            prompt = session.apply_template([Message(role="user", content=PROMPT)], thinking=None)
            asked = Request(prompt=prompt, output_tokens=64, temperature=0, seed=1, ignore_eos=True, timeout=60)
            files = {"before.txt": wire.exchange("/metrics", timeout=9).body}
            files["stream.sse"] = wire.exchange(
                "/v1/chat/completions", openai.body(asked, model="micro"), timeout=60
            ).body
            files["after.txt"] = wire.exchange("/metrics", timeout=9).body
    save(FOLDER.with_name("chats") / subject.name, files, subject)


def record(subject: Contender) -> None:
    whole, steps, top_two = subject.method == "ngram-simple", subject.method == "draft-model", subject.method == "none"
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "engine.log"
        with catalog.open_session(subject, log=log, load_timeout=60) as session:
            assert isinstance(session, LlamaCppSession)
            running, opened = session._running, log.stat().st_size
            files = {"before.txt": running.wire.exchange("/metrics", timeout=9).body}
            exchange = running.wire.exchange(
                "/completion",
                llamacpp.body(
                    Request(
                        prompt=PROMPT,
                        output_tokens=64,
                        temperature=0,
                        seed=1,
                        ignore_eos=True,
                        timeout=60,
                        steps=steps,
                        top_two=top_two,
                        stream=not whole,
                    )
                ),
                timeout=60,
            )
            files["answer.json" if whole else "stream.sse"] = exchange.body
            files["after.txt"] = running.wire.exchange("/metrics", timeout=9).body
        lines = log.read_bytes()[opened:].splitlines(keepends=True)
        files["engine.log"] = b"".join(line for line in lines if b"print_timing" in line or b"statistics" in line)
    save(FOLDER / subject.name, files, subject)


def save(place: Path, files: dict[str, bytes], subject: Contender) -> None:
    place.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        text = content.decode()
        for model in (subject.target_model, subject.draft_model):
            text = text.replace(str(model), "model.gguf")
        (place / name).write_text(text, encoding="utf-8", newline="")


if __name__ == "__main__":
    target, draft, *server = sys.argv[1:]
    for engine, executable in {"xllamacpp": None, **({"llama-server": server[0]} if server else {})}.items():
        for method in CASES:
            record(contender(engine, method, target=target, draft=draft, executable=executable))
    if server:
        record_chat(contender("llama-server", "draft-model", target=target, draft=draft, executable=server[0]))
