"""Do other benchmarks see what specbench sees? The same prompts, on the same server, within 10 %.

Each arm (no speculation, and a draft model) starts one llama-server. specbench and llama-benchy ask it by turns, one
generation each; without speculation specbench and llama-bench take turns with the same model at the same lengths.
Prompt tokens, output tokens and the text must be equal. Each generation of a peer is compared with the two of specbench
before and behind it, and the median of these ratios counts: machines drift within seconds.

llama-benchy cuts its prompts at random from a book. It gets a book that is one character longer than the prompt and a
tokenizer whose tokens are characters, so that only one cut is possible: the prompt. Its counts and times come from the
server's usage and the stream, not from that tokenizer. Its command between two generations gives specbench the turn.
It runs offline, with a home folder of its own.
"""

import argparse
import contextlib
import functools
import http.server
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import venv
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import rig

import specbench
from specbench import datafiles
from specbench.analysis import metrics
from specbench.engines import catalog
from specbench.engines.base import Request, Session
from specbench.models import micro
from specbench.planning.suites import parse_suite
from specbench.records import Contender, DraftCounts, Message, Prompt
from specbench.structs import replace

ROOT = Path(__file__).resolve().parents[1]
TOLERANCE = 0.10
DRAFT_TOKENS_MAX = 4
CATEGORIES = ("code", "json", "creative")
TIMEOUT = 600.0
ATTEMPTS = 10
TURN = "/turn"


@dataclass(frozen=True)
class Sample:
    """What one tool reports of one generation. Speeds are tokens per second; None: the tool does not tell."""

    prompt_tokens: int | None
    output_tokens: int
    decode: float
    decode_engine: float | None = None
    end_to_end: float | None = None
    text: str | None = None


@dataclass(frozen=True)
class Row:
    """One prompt in one arm: speeds of specbench and of a peer by turns; specbench is the first and the last."""

    arm: str
    prompt: str
    peer: str
    what: str
    ours: list[float]
    theirs: list[float]

    @property
    def ratio(self) -> float:
        around = [statistics.mean(pair) for pair in itertools.pairwise(self.ours)]
        return statistics.median(a / b for a, b in zip(around, self.theirs, strict=True))

    @property
    def right(self) -> bool:
        return abs(self.ratio - 1) <= TOLERANCE


# ------------------------------------------------------------------------------------------------------ the tools


def with_specbench(session: Session, prompt: str, output_tokens: int) -> Sample:
    """One generation through the adapter of specbench."""
    rendered = session.apply_template([Message(role="user", content=prompt)], thinking=None)
    answer = session.generate(
        Request(
            prompt=rendered,
            output_tokens=output_tokens,
            temperature=0.0,
            seed=0,
            ignore_eos=True,
            timeout=TIMEOUT,
            stream=True,
        )
    )
    require_identity(answer.counts)
    return Sample(
        answer.prompt_tokens,
        answer.output_tokens,
        decode=ratio(metrics.decode_client(answer)),
        decode_engine=ratio(metrics.decode_engine(answer)),
        end_to_end=ratio(metrics.end_to_end(answer)),
        text=answer.text,
    )


def require_identity(c: DraftCounts) -> None:
    """E = R + F + A, although another client asks the same server in between."""
    if c.emitted != (c.prefill_tokens or 0) + (c.verification_steps or 0) + (c.accepted or 0):
        raise SystemExit(f"specbench's counts do not reconcile: {c}")


def ratio(parts: tuple[float, float] | None) -> float:
    if parts is None:
        raise SystemExit("specbench could not measure a speed: an answer lacks a count or a time")
    return parts[0] / parts[1]


def with_llama_benchy(
    program: Path, server: rig.Server, prompt: str, output_tokens: int, *, runs: int, turn: Callable[[], None]
) -> list[Sample] | None:
    """`runs` generations by llama-benchy, with a call of `turn` behind each of them and behind its own warm-up.

    None when its client broke off because it reused a connection that the server was closing.
    """
    with tempfile.TemporaryDirectory() as name, serving_folder(folder := Path(name), turn) as books:
        write_book(folder, prompt)
        give_turn = f"import urllib.request; urllib.request.urlopen('{books}{TURN}')"
        argv = [program, "--base-url", f"{server.url}/v1", "--model", "model", "--tokenizer", folder / "tokenizer.json"]
        argv += ["--book-url", f"{books}/book.txt", "--pp", len(prompt), "--no-adapt-prompt", "--skip-coherence"]
        argv += ["--tg", output_tokens, "--exact-tg", "--runs", runs, "--latency-mode", "none", "--exit-on-first-fail"]
        argv += ["--extra-body", "temperature=0,cache_prompt=false", "--emit-progress", folder / "events.jsonl"]
        argv += ["--save-result", folder / "report.json", "--format", "json"]
        argv += ["--post-run-cmd", f'"{sys.executable}" -c "{give_turn}"']
        local = {"HOME": str(folder), "HF_HUB_OFFLINE": "1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        words = [str(word) for word in argv]
        done = subprocess.run(words, check=False, capture_output=True, text=True, env={**os.environ, **local})
        if "Server disconnected" in done.stdout:
            return None
        if done.returncode != 0 or "Post-run command failed" in done.stdout:
            raise SystemExit(f"llama-benchy ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        lines = (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    events: dict[int, list[dict[str, object]]] = defaultdict(list)
    for event in map(json.loads, lines):
        if "request_id" in event:
            events[event["request_id"]].append(event)
    speeds = report["benchmarks"][0]["tg_throughput"]["values"]
    return [_benchy_sample(events[i], speed) for i, speed in enumerate(speeds)]


def _benchy_sample(events: list[dict], decode: float) -> Sample:
    by_type = {event["type"]: event for event in events}
    end, first = by_type["request_end"], by_type["request_first_token"]
    return Sample(
        end["prompt_tokens"],
        end["total_tokens"],
        decode=decode,
        end_to_end=end["total_tokens"] / (first["ttft_s"] + end["decode_seconds"]),
        text="".join(event["snippet"] for event in events if event["type"] == "tokens"),
    )


def write_book(folder: Path, prompt: str) -> None:
    """A book with one place to cut the prompt from, and a tokenizer of single characters."""
    book = prompt + "\n"
    (folder / "book.txt").write_bytes(book.encode())
    alphabet = {character: i for i, character in enumerate(sorted(set(book)))}
    tokenizer = {
        "version": "1.0",
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": r"[\s\S]"},
            "behavior": "Isolated",
            "invert": False,
        },
        "decoder": {"type": "Fuse"},
        "added_tokens": [],
        "model": {"type": "WordLevel", "vocab": alphabet, "unk_token": "\n"},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")


@contextlib.contextmanager
def serving_folder(folder: Path, turn: Callable[[], None]) -> Iterator[str]:
    """The files of `folder` over HTTP, for a tool that takes its text from a URL only; GET of TURN calls `turn`."""

    class Books(http.server.SimpleHTTPRequestHandler):
        extensions_map = {".txt": "text/plain; charset=utf-8"}  # noqa: RUF012  the base class says so

        def do_GET(self) -> None:
            if self.path != TURN:
                super().do_GET()
                return
            turn()
            self.send_response(http.HTTPStatus.NO_CONTENT)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Books, directory=folder)) as books:
        thread = threading.Thread(target=books.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{books.server_address[1]}"
        finally:
            books.shutdown()
            thread.join()


def with_llama_bench(program: Path, model: Path, *, prompt_tokens: int, output_tokens: int, threads: int) -> Sample:
    """Generation of random tokens behind as many random prompt tokens. The first token belongs to the prompt pass."""
    argv = [program, "-m", model, "-p", 0, "-n", output_tokens - 1, "-d", prompt_tokens, "-r", 1, "-t", threads]
    done = subprocess.run([str(w) for w in [*argv, "-o", "json"]], check=True, capture_output=True, text=True)
    (result,) = json.loads(done.stdout)
    return Sample(result["n_depth"], result["n_gen"] + 1, decode=result["samples_ts"][0])


def llama_benchy() -> Path:
    """The program of the pinned version, installed on first use."""
    folder = ROOT / ".cache" / "crosscheck"
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    requirements = Path(__file__).with_name("requirements-crosscheck.txt")
    stamp = folder / requirements.name
    if not stamp.is_file() or stamp.read_bytes() != requirements.read_bytes():
        print("installing llama-benchy into .cache/crosscheck", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(scripts / "python"), "-m", "pip", "install", "--quiet", "--requirement", str(requirements)]
        subprocess.run(pip, check=True)
        stamp.write_bytes(requirements.read_bytes())
    return scripts / "llama-benchy"


# -------------------------------------------------------------------------------------------------- the comparison


@dataclass(frozen=True)
class Arm:
    name: str
    arguments: tuple[str, ...]
    llama_bench: Path | None


def measure(arm: Arm, asked: argparse.Namespace, prompts: dict[str, str], benchy: Path) -> Iterator[Row]:
    """One arm on one server. SystemExit where counts or texts differ."""
    contender = Contender(
        name=f"attach/{arm.name}",
        engine="attach",
        kind="attach",
        target_model=str(asked.model),
        target_label=asked.model.stem,
        method=arm.name,
    )
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "server.log"
        with (
            rig.serving(asked.llama_server, asked.model, *arm.arguments, threads=asked.threads, log=log) as server,
            catalog.open_session(
                replace(contender, url=server.url), log=Path(name) / "session.log", load_timeout=60
            ) as session,
        ):
            for prompt, text in prompts.items():
                ask = functools.partial(with_specbench, session, text, asked.output_tokens)
                ask()  # warm-up
                ours, theirs = by_turns_with_llama_benchy(benchy, server, text, asked, ask)
                require_equal(arm, prompt, [*ours, *theirs])
                for what, of_ours, of_theirs in (
                    ("decode", [s.decode for s in ours], [s.decode for s in theirs]),
                    ("end to end", [s.end_to_end for s in ours], [s.end_to_end for s in theirs]),
                ):
                    yield Row(arm.name, prompt, "llama-benchy", what, of_ours, of_theirs)
                if arm.llama_bench is not None:
                    ours, theirs = by_turns_with_llama_bench(arm.llama_bench, ours[0].prompt_tokens, asked, ask)
                    engine_time = [s.decode_engine for s in ours]
                    yield Row(arm.name, prompt, "llama-bench", "decode", engine_time, [s.decode for s in theirs])
                print(f"{arm.name}: {prompt}", file=sys.stderr)


def by_turns_with_llama_benchy(
    program: Path, server: rig.Server, prompt: str, asked: argparse.Namespace, ask: Callable[[], Sample]
) -> tuple[list[Sample], list[Sample]]:
    for _ in range(ATTEMPTS):
        ours: list[Sample] = []

        def turn(ours: list[Sample] = ours) -> None:
            ours.append(ask())

        theirs = with_llama_benchy(program, server, prompt, asked.output_tokens, runs=asked.pairs, turn=turn)
        if theirs is not None:
            return ours, theirs
    raise SystemExit(f"llama-benchy lost its connection in each of {ATTEMPTS} attempts")


def by_turns_with_llama_bench(
    program: Path, prompt_tokens: int, asked: argparse.Namespace, ask: Callable[[], Sample]
) -> tuple[list[Sample], list[Sample]]:
    lengths = {"prompt_tokens": prompt_tokens, "output_tokens": asked.output_tokens}
    ours, theirs = [ask()], []
    for _ in range(asked.pairs):
        theirs.append(with_llama_bench(program, asked.model, **lengths, threads=asked.threads))
        ours.append(ask())
    return ours, theirs


def require_equal(arm: Arm, prompt: str, samples: list[Sample]) -> None:
    """Every run of both tools has the same prompt tokens, output tokens and text."""
    different = {(s.prompt_tokens, s.output_tokens, s.text) for s in samples}
    if len(different) != 1:
        raise SystemExit(f"{arm.name}, {prompt}: specbench and llama-benchy differ in tokens or text: {different}")


# ------------------------------------------------------------------------------------------------------ the report


def prompts_of_the_suite() -> dict[str, str]:
    """The first prompt of each of three categories that is one user turn and fits the embedded model."""
    suite = parse_suite(datafiles.texts(datafiles.path("suites/core")))
    chosen: dict[str, Prompt] = {}
    for prompt in suite.prompts:
        one_turn = len(prompt.messages) == 1 and prompt.passages is None and not prompt.constrained
        if one_turn and prompt.category in CATEGORIES and "micro" in prompt.tags:
            chosen.setdefault(prompt.category, prompt)
    return {prompt.id: prompt.messages[0].content for prompt in chosen.values()}


def middle(speeds: list[float]) -> str:
    return f"{statistics.median(speeds):.1f}"


def page(asked: argparse.Namespace, found: list[Row], versions: dict[str, str]) -> str:
    """docs/crosscheck.md."""
    worst = max(found, key=lambda row: abs(row.ratio - 1))
    table = rig.markdown_table(
        ["arm", "prompt", "peer", "speed", "specbench, tok/s", "peer, tok/s", "ratio"],
        [[r.arm, r.prompt, r.peer, r.what, middle(r.ours), middle(r.theirs), f"{r.ratio:.3f}"] for r in found],
    )
    verdict = "Every speed is" if all(row.right for row in found) else "**Not every speed is**"
    draft = asked.draft_model.stem if asked.draft_model else "none"
    return f"""# Cross-check against other benchmarks

`make crosscheck` writes this page. Each arm starts one llama-server. specbench and llama-benchy ask it the same prompts
by turns, one generation each. In the `none` arm, which does not speculate, specbench and llama-bench take turns with
the same model at the same lengths; llama-bench uses random tokens. The `draft-model` arm drafts at most
{DRAFT_TOKENS_MAX} tokens a step.

- Prompt tokens, output tokens and the text of every answer were equal in every run of specbench and llama-benchy.
- specbench's counters reconciled in every run, although another client asked the same server in between.
- {verdict} within {TOLERANCE:.0%}; the largest difference is {abs(worst.ratio - 1):.1%}
  ({worst.arm}, {worst.prompt}, {worst.peer}, {worst.what}).

{table}
Speeds are medians of {asked.pairs} generations of {asked.output_tokens} tokens at temperature 0 without a prompt cache.
The ratio is the median over the peer's generations, each against the mean of the two of specbench around it. Against
llama-benchy `decode` is from the first to the last token as the client sees them, and `end to end` from the request to
the last token. llama-bench neither samples nor answers over HTTP, so `decode` is compared by the engine's own clock.

- Model: {asked.model.stem}; draft model: {draft}; {asked.threads} thread(s)
- Versions: {", ".join(f"{name} {version}" for name, version in versions.items())}
- Machine: {rig.machine()}; {rig.load_note()}
- Command: `python benchmarks/crosscheck.py --threads {asked.threads} --pairs {asked.pairs}`
- Date: {datetime.now(UTC):%Y-%m-%d}
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama-server", type=Path, default=rig.program("llama-server"), metavar="PATH")
    parser.add_argument("--llama-benchy", type=Path, metavar="PATH", help="default: installed into .cache/crosscheck")
    parser.add_argument("--model", type=Path, metavar="GGUF", help="default: the embedded ballast target")
    parser.add_argument("--draft-model", type=Path, metavar="GGUF", help="default: the embedded draft model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output-tokens", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=30, help="generations of each tool for each prompt")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "crosscheck.md")
    asked = parser.parse_args()
    if asked.llama_server is None or not asked.llama_server.is_file():
        parser.error("no llama-server: give --llama-server PATH, or run `make crosscheck`, which builds one")
    asked.llama_server = asked.llama_server.resolve()
    if asked.model is None:
        weights, cache = datafiles.path("micro/weights"), datafiles.cache_folder()
        asked.model = micro.model_file("ballast", weights=weights, cache=cache)
        asked.draft_model = asked.draft_model or micro.model_file("micro-draft", weights=weights, cache=cache)
    return asked


def main() -> int:
    asked = arguments()
    benchy = asked.llama_benchy or llama_benchy()
    arms = [Arm("none", ("--spec-type", "none"), rig.program("llama-bench", beside=asked.llama_server))]
    if asked.draft_model:
        drafting = ("-md", str(asked.draft_model), "--spec-type", "draft-simple")
        arms.append(Arm("draft-model", (*drafting, "--spec-draft-n-max", str(DRAFT_TOKENS_MAX)), None))
    prompts = prompts_of_the_suite()
    found = [row for arm in arms for row in measure(arm, asked, prompts, benchy)]
    text = page(asked, found, versions(asked.llama_server, benchy))
    asked.page.write_text(text, encoding="utf-8")
    print(text)
    return 0 if all(row.right for row in found) else 1


def versions(server: Path, benchy: Path) -> dict[str, str]:
    def says(program: Path) -> str:
        done = subprocess.run([program, "--version"], check=True, capture_output=True, text=True)
        return " ".join((done.stdout + done.stderr).split("\n")[0].split()[1:])

    return {"specbench": specbench.__version__, "llama-benchy": says(benchy), "llama.cpp": says(server)}


if __name__ == "__main__":
    sys.exit(main())
