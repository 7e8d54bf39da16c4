"""Output tok/s of specbench over that of `vllm bench serve`, by turns on one server.

One command: `python benchmarks/against_vllm.py`.
Both send the same prompts one after the other, at temperature 0 and with a fixed length, and both figures are output
tokens over the seconds from the request to the last token, as each client sees it. A client takes part of the cores
and so slows the server down: therefore also each figure over what the server counts for the same requests, and their
ratio. Needs vLLM (`make engines-vllm`).
"""

import argparse
import json
import statistics
import subprocess
import tempfile
from pathlib import Path

import httpx2

from specbench import datafiles
from specbench.engines import catalog, counters
from specbench.engines.base import Request, Session
from specbench.engines.profile import command
from specbench.models import micro_folders
from specbench.planning.suites import parse_suite
from specbench.records import Contender, Message, Sampling, Setting
from specbench.structs import replace

SETTINGS: dict[str, Setting] = {"eager": True, "dtype": "float32", "context_size": 1024, "parallel_slots": 1}


def contender(program: Path, target: str, draft: str) -> Contender:
    argv, environment = command(
        catalog.profiles(None)["vllm"],
        target_model=target,
        draft_model=draft,
        method="draft-model",
        settings={"draft_tokens_max": 4},
        engine_settings=SETTINGS,
        engine_args=(),
    )
    return Contender(
        name="draft-model",
        engine="vllm",
        kind="server",
        protocol="openai",
        target_model=target,
        target_label="micro",
        draft_model=draft,
        method="draft-model",
        executable=str(program),
        argv=argv,
        environment={**environment, "VLLM_API_KEY": "", "VLLM_CPU_KVCACHE_SPACE": "1"},  # the peer has no key
    )


def ours(session: Session, prompts: list[str], output_tokens: int) -> tuple[float, int, int]:
    """Tokens a second, tokens, and those of the prompts."""
    asked = Request(
        prompt="",
        output_tokens=output_tokens,
        temperature=0.0,
        seed=1,
        ignore_eos=True,
        timeout=300.0,
        sampling=Sampling(min_p=0),
    )
    tokens, read, seconds = 0, 0, 0.0
    for prompt in prompts:
        conversation = session.apply_template([Message(role="user", content=prompt)], thinking=None)
        answer = session.generate(replace(asked, prompt=conversation))
        tokens, read = tokens + (answer.output_tokens or 0), read + (answer.prompt_tokens or 0)
        seconds += answer.last_token or 0.0
    return tokens / seconds, tokens, read


def theirs(program: Path, url: str, model: str, prompts: list[str], output_tokens: int) -> tuple[float, int, int]:
    """The same of vLLM's own client; only the server adds a template."""
    with tempfile.TemporaryDirectory() as name:
        dataset, result = Path(name) / "prompts.jsonl", Path(name) / "result.json"
        dataset.write_text("".join(json.dumps({"prompt": p}) + "\n" for p in prompts), encoding="utf-8")
        words = ["--backend", "openai-chat", "--endpoint", "/v1/chat/completions", "--base-url", url, "--model", model]
        words += ["--dataset-name", "custom", "--dataset-path", str(dataset), "--disable-shuffle"]
        words += ["--skip-chat-template", "--num-prompts", str(len(prompts)), "--temperature", "0"]
        words += ["--ignore-eos", "--custom-output-len", str(output_tokens)]
        words += ["--extra-body", json.dumps({"min_tokens": output_tokens}), "--max-concurrency", "1"]
        words += ["--save-result", "--save-detailed", "--result-dir", name, "--result-filename", result.name]
        done = subprocess.run([program, "bench", "serve", *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr[-2000:])
        found = json.loads(result.read_text(encoding="utf-8"))
    whole = [first + sum(rest) for first, rest in zip(found["ttfts"], found["itls"], strict=True)]
    return sum(found["output_lens"]) / sum(whole), sum(found["output_lens"]), sum(found["input_lens"])


def served(url: str) -> float:
    """Seconds that the server counts for all requests so far, from arrival to end."""
    text = httpx2.get(f"{url}/metrics", trust_env=False).text
    return counters.parse_metrics(text)["e2e_request_latency_seconds_sum"]


def main() -> None:
    """Rounds by turns; the figures are medians of their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vllm", type=Path, default=Path(".cache/vllm/bin/vllm"))
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--output-tokens", type=int, default=96)
    asked = parser.parse_args()
    suite = parse_suite(datafiles.texts(datafiles.path("suites/core")))
    prompts = [p.messages[-1].content for p in suite.prompts if p.category in {"code", "chat"}][: asked.prompts]
    with tempfile.TemporaryDirectory() as name:
        target, draft = (
            str(micro_folders.model_folder(m, weights=datafiles.path("micro/weights"), cache=Path(name)))
            for m in ("micro", "micro-draft")
        )
        subject = contender(asked.vllm.absolute(), target, draft)
        with catalog.open_session(subject, log=Path(name) / "log", load_timeout=600) as session:
            port = session.info.argv[session.info.argv.index("--port") + 1]
            url = f"http://127.0.0.1:{port}"
            clients = {
                "specbench": lambda: ours(session, prompts, asked.output_tokens),
                "vllm bench serve": lambda: theirs(asked.vllm, url, target, prompts, asked.output_tokens),
            }
            clients["specbench"]()  # a warm-up
            speeds: dict[str, list[float]] = {name: [] for name in clients}
            shares: dict[str, list[float]] = {name: [] for name in clients}
            for _ in range(asked.rounds):
                work = set()
                for who, client in clients.items():
                    before = served(url)
                    speed, *counts = client()
                    seconds = served(url) - before
                    work.add(tuple(counts))
                    speeds[who].append(speed)
                    shares[who].append(speed / (counts[0] / seconds))
                    print(f"{who}: {speed:.2f} tok/s, {shares[who][-1]:.4f} of the server's; {counts}", flush=True)
                assert len(work) == 1, "not the same work"
    for what, found in (("tok/s", speeds), ("tok/s over the server's", shares)):
        ratios = [one / other for one, other in zip(*found.values(), strict=True)]
        print(f"{what}: median ratio {statistics.median(ratios):.4f}, {min(ratios):.4f} to {max(ratios):.4f}")


if __name__ == "__main__":
    main()
