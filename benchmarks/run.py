"""Measure what specbench itself costs, and write docs/performance.md. One command: `python benchmarks/run.py`.

Where two programs are compared they run in alternating pairs in one go, and the figure is the median of the pairs.
"""

import argparse
import contextlib
import itertools
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import lake
import psutil
import replay
import rig
import synthetic
import until

import specbench
from specbench import datafiles, pipeline, store, tuning
from specbench.analysis import metrics
from specbench.analysis import tuning as deciding
from specbench.engines import catalog
from specbench.engines.base import Request
from specbench.hardware import bandwidth as host_bandwidth
from specbench.hardware import telemetry
from specbench.models import micro
from specbench.planning import extent
from specbench.planning.runfile import RunFile, validate_runfile
from specbench.records import Contender, Generation, Opening, Result

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[1]
SPECBENCH = [sys.executable, "-m", "specbench"]
EMPTY_APP = """
import typer

app = typer.Typer({options})

@app.command()
def first() -> None: ...

@app.command()
def second() -> None: ...

app()
"""


@dataclass(frozen=True)
class Figure:
    """One measured number. `target` is None for a number that is only shown; `at_least` turns the comparison round."""

    what: str
    measured: float
    unit: str
    target: float | None = None
    at_least: bool = False
    detail: str = ""

    @property
    def met(self) -> bool:
        if self.target is None:
            return True
        return self.measured >= self.target if self.at_least else self.measured <= self.target


# ------------------------------------------------------------------------------------- against the engine by itself


def overhead(asked: argparse.Namespace) -> Iterator[Figure]:
    """Decode tok/s that specbench reports, against the same server asked with nothing in between.

    The fast embedded target shows a fixed cost best. The server asked twice with nothing in between is the control.
    """
    if asked.llama_server is None:
        raise SystemExit("no llama-server: give --llama-server PATH, or run `make engines`")
    model = asked.model or embedded("micro")
    prompt, output_tokens = list(range(300, 364)), 128
    request = Request(prompt=prompt, output_tokens=output_tokens, temperature=0.0, seed=1, ignore_eos=True, timeout=600)
    body = {"prompt": prompt, "n_predict": output_tokens, "temperature": 0, "seed": 1}
    body |= {"cache_prompt": False, "ignore_eos": True}

    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as opened:
        log = Path(name) / "server.log"
        server = opened.enter_context(rig.serving(asked.llama_server, model, threads=asked.threads, log=log))
        contender = Contender(
            name="attach",
            engine="attach",
            kind="attach",
            target_model=str(model),
            target_label=model.stem,
            method="none",
            url=server.url,
        )
        session = opened.enter_context(catalog.open_session(contender, log=log, load_timeout=60))

        def reported() -> float:
            tokens, seconds = metrics.decode_engine(session.generate(request))
            return tokens / seconds

        def raw() -> float:
            timings = rig.post(server, "/completion", body)["timings"]
            return (timings["predicted_n"] - 1) / timings["predicted_ms"] * 1000

        reported(), raw()  # warm-up
        ratios = [ours / theirs for ours, theirs in alternating(reported, raw, pairs=20 * asked.pairs)]
        control = [one / other for one, other in alternating(raw, raw, pairs=20 * asked.pairs)]
        bench = rig.program("llama-bench", beside=asked.llama_server)
        alone = partial(llama_bench, bench, model, prompt, output_tokens, asked.threads)
        against_bench = [] if bench is None else list(alternating(reported, alone, pairs=asked.pairs))
    yield Figure(
        "decode tok/s reported by specbench / raw server timings",
        statistics.median(ratios),
        "times",
        0.995,
        at_least=True,
        detail=f"{model.stem}, {len(ratios)} pairs, {interval(ratios)}; "
        f"control, raw / raw: {statistics.median(control):.3f}, {interval(control)}",
    )
    if against_bench:
        yield Figure(
            "decode tok/s reported by specbench / llama-bench",
            statistics.median(a / b for a, b in against_bench),
            "times",
            detail=f"{len(against_bench)} pairs; the server also samples and turns tokens into text",
        )


def llama_bench(program: Path, model: Path, prompt: list[int], output_tokens: int, threads: int) -> float:
    argv = [program, "-m", model, "-p", 0, "-n", output_tokens - 1, "-d", len(prompt), "-r", 1, "-t", threads]
    done = subprocess.run([str(w) for w in [*argv, "-o", "json"]], check=True, capture_output=True, text=True)
    speed: float = json.loads(done.stdout)[0]["samples_ts"][0]
    return speed


def instrumented(asked: argparse.Namespace) -> Iterator[Figure]:
    """Plain decoding by the loop in Python against llama-server, both on the libraries of one build.

    The model has as many bytes as one of 60 million parameters in F16. The control is the loop against itself.
    """
    python = Path(os.environ.get("SPECBENCH_LLAMA_CPP_PYTHON") or ROOT / ".cache/llama-cpp-python/bin/python")
    if asked.llama_server is None or not python.is_file():
        raise SystemExit("no llama-server or no llama-cpp-python: run `make engines`")
    model = asked.model or micro.derive(
        "ballast-12", weights=datafiles.path("micro/weights"), cache=datafiles.cache_folder()
    )
    engines = [f"llama-server={asked.llama_server}", f"llama-cpp-python={python}"]
    settings = {"targets": [{"model": str(model)}], "engine_settings": {"threads": asked.threads}, "discover": False}
    plan = pipeline.plan_run(validate_runfile({**settings, "engine": engines, "methods": ["none"]}))
    request = Request(
        prompt=tuple(range(300, 364)), output_tokens=200, temperature=0.0, seed=1, ignore_eos=True, timeout=600
    )
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as opened:

        def decode(contender: Contender) -> Callable[[], float]:
            log = Path(name) / f"{contender.engine}.log"
            session = opened.enter_context(catalog.open_session(contender, log=log, load_timeout=60))

            def speed() -> float:
                tokens, seconds = metrics.decode_engine(session.generate(request))
                return tokens / seconds

            speed()  # warm-up
            return speed

        native, loop = map(decode, plan.contenders)
        found = list(alternating(loop, native, pairs=2 * asked.pairs))
        control = [one / other for one, other in alternating(loop, loop, pairs=2 * asked.pairs)]
    ratios = [ours / theirs for ours, theirs in found]
    yield Figure(
        "decode tok/s of the instrumented plain loop (llama-cpp-python) / llama-server",
        statistics.median(ratios),
        "times",
        0.97,
        at_least=True,
        detail=f"{model.stat().st_size / 2**20:.0f} MiB, {statistics.median(theirs for _, theirs in found):.0f} tok/s, "
        f"{len(ratios)} pairs, {interval(ratios)}; "
        f"control, loop / loop: {statistics.median(control):.3f}, {interval(control)}",
    )


def watching(asked: argparse.Namespace) -> Iterator[Figure]:
    """Processor time of one server and the sampler's thread, watched and alone, in short pairs of requests.

    Twice: 10 looks a second, as in a run, and as many as the sampler's limit allows, where the effect stands out of
    the noise of a shared machine. Processor time is the ruler because what the sampler takes delays an
    engine only where no core is free: its share is the most that a run can lose.
    """
    if asked.llama_server is None:
        raise SystemExit("no llama-server: give --llama-server PATH, or run `make engines`")
    model = asked.model or embedded("micro")
    body = {"prompt": list(range(300, 364)), "n_predict": 500, "temperature": 0, "seed": 1}
    body |= {"cache_prompt": False, "ignore_eos": True}
    often = telemetry.INTERVAL
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as opened:
        server = opened.enter_context(
            rig.serving(asked.llama_server, model, threads=asked.threads, log=Path(name) / "server.log")
        )
        sampler = opened.enter_context(telemetry.opened())
        sampler.follow_engine()
        looks: dict[float, list[float]] = {often: [], 0.0: []}

        def spent() -> float:
            return rig.processor_seconds(server.pid) + time.process_time()

        def seconds(pause: float | None = None) -> float:
            before, start = spent(), time.perf_counter()
            if pause is None:
                rig.post(server, "/completion", body)
            else:
                telemetry.INTERVAL = pause
                with sampler.watching() as watch:
                    rig.post(server, "/completion", body)
                seen = watch.telemetry(None, started=start).gauges["host.memory"].count
                looks[pause].append(seen / (time.perf_counter() - start))
            return spent() - before

        seconds(often)  # warm-up
        for pause in (often, 0.0):
            watched, alone = partial(seconds, pause), partial(seconds, None)
            logs = [math.log(a / b) * 100 for a, b in alternating(watched, alone, pairs=50 * asked.pairs)]
            rate = statistics.median(looks[pause])
            yield Figure(
                f"processor time that watching adds to an engine of one thread, {rate:.0f} looks a second",
                statistics.median(logs),
                "%",
                detail=f"{model.stem}, {len(logs)} pairs of requests of 500 tokens, {interval(logs)}",
            )
        scale = 1 / often / rate
        yield Figure(
            "the same, scaled to 10 looks a second",
            statistics.median(logs) * scale,
            "%",
            1.0,
            detail=interval([value * scale for value in logs]),
        )


# --------------------------------------------------------------------------------------------- the command itself


def help_time(asked: argparse.Namespace) -> Iterator[Figure]:
    """`specbench --help` against a Typer app with two empty commands, whose help is made by Rich or is plain."""
    for kind, options in {"": "", " with plain help": "rich_markup_mode=None"}.items():
        with tempfile.TemporaryDirectory() as name:
            (Path(name) / "empty_app.py").write_text(EMPTY_APP.format(options=options), encoding="utf-8")

            def seconds(*argv: str, folder: str = name) -> float:
                start = time.perf_counter()
                subprocess.run([sys.executable, "-m", *argv, "--help"], check=True, capture_output=True, cwd=folder)
                return time.perf_counter() - start

            ours, theirs = partial(seconds, "specbench"), partial(seconds, "empty_app")
            ours(), theirs()
            pairs = list(alternating(ours, theirs, pairs=asked.pairs))
        medians = [statistics.median(side) for side in zip(*pairs, strict=True)]
        yield Figure(
            f"`specbench --help` / an empty two-command Typer app{kind}",
            statistics.median(a / b for a, b in pairs),
            "times",
            1.5,
            detail=f"{medians[0]:.3f} s / {medians[1]:.3f} s, {len(pairs)} pairs",
        )


def first_token(asked: argparse.Namespace) -> Iterator[Figure]:
    """From the start of the program to the first token of the first trial, without the loading of the engine."""
    found = []
    for _number in range(1 + min(asked.pairs, 5)):
        start = time.time()
        results = small_run("--prompts", "1", "--output-tokens", "16")
        load = next(r.load_seconds for r in results if isinstance(r, Opening))
        first = next(r for r in results if isinstance(r, Generation))
        seconds, _ = metrics.first_token(first)
        found.append(first.started + seconds - start - load)
    yield Figure(
        "`specbench run` to the first token of the first trial, engine load excluded",
        statistics.median(found[1:]),
        "s",
        1.0,
        detail=f"{len(found) - 1} runs, the embedded target, derived models cached",
    )


def small_run(*options: str) -> list[Result]:
    """What a run of the embedded targets without speculation recorded."""
    few = ["--categories", "code", "--methods", "none", "--temperature", "0", *options]
    with tempfile.TemporaryDirectory() as name:
        subprocess.run([*SPECBENCH, "run", *few, "--results", name], check=True, capture_output=True)
        (path,) = store.runs(Path(name))
        return store.read(path).results


def default_run(_: argparse.Namespace) -> Iterator[Figure]:
    """`specbench run` with no arguments: how long it takes, and the memory of specbench without the engine."""
    with tempfile.TemporaryDirectory() as name, (Path(name) / "out.txt").open("wb") as output:
        start = time.perf_counter()
        argv = [*SPECBENCH, "run", "--results", name]
        process = psutil.Popen(argv, stdout=output, stderr=subprocess.STDOUT)
        peak = 0
        while process.poll() is None:
            try:
                peak = max(peak, process.memory_info().rss)
            except psutil.NoSuchProcess:
                break
            time.sleep(0.05)
        status, seconds = process.wait(), time.perf_counter() - start
        output.flush()
        if status != 0:
            raise SystemExit(
                f"specbench run ended with status {status}:\n{(Path(name) / 'out.txt').read_text()[-2000:]}"
            )
        (path,) = store.runs(Path(name))
        trials = sum(isinstance(result, Generation) for result in store.read(path).results)
    yield Figure("embedded default run", seconds, "s", 150.0, detail=f"{trials} generations, warm-ups included")
    yield Figure("peak RSS of specbench itself in that run", peak / 2**20, "MiB", 250e6 / 2**20)


def bandwidth(asked: argparse.Namespace) -> Iterator[Figure]:
    """Host memory bandwidth of `specbench hardware profile` against the triad of STREAM, compiled here."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return
    with tempfile.TemporaryDirectory() as name:
        triad = Path(name) / "triad"
        argv = [compiler, "-O3", "-march=native", "-fopenmp", str(ROOT / "benchmarks" / "triad.c"), "-o", str(triad)]
        subprocess.run(argv, check=True)

        def compiled() -> float:
            return float(subprocess.run([triad], check=True, capture_output=True, text=True).stdout)

        pairs = list(alternating(lambda: max(host_bandwidth.host()), compiled, pairs=min(asked.pairs, 10)))
    ours, theirs = (max(side) for side in zip(*pairs, strict=True))
    yield Figure(
        "host memory bandwidth and a compiled STREAM triad, the smaller / the larger",
        min(ours / theirs, theirs / ours),
        "times",
        0.9,
        at_least=True,
        detail=f"{ours / 1e9:.1f} GB/s / {theirs / 1e9:.1f} GB/s, the best of {len(pairs)} runs in turn, all cores",
    )


# ------------------------------------------------------------------------------------------------------------- disk


def analysis(asked: argparse.Namespace) -> Iterator[Figure]:
    """Reading and analysing runs of growing size, each in a fresh process, imports included."""
    code = "import sys, pathlib; from specbench import pipeline; pipeline.read(pathlib.Path(sys.argv[1]))"
    one, two = [sys.executable, "-c", code], [*SPECBENCH, "compare"]
    sizes = ((12, None, None, 3), (124, 5.0, None, 3), (1250, None, 30.0, 3))
    for repeats, analysed, compared, times in sizes[: 2 + asked.million]:
        trials = synthetic.TRIALS * repeats // synthetic.REPEATS
        what = f"reading and analysing a run of {trials:,} trials, as `report` does"
        yield from _analysed(one, [repeats], what, analysed, times)
        what = f"`specbench compare` of two runs with {trials:,} trials in all"
        yield from _analysed(two, [repeats // 2] * 2, what, compared, times)


def _analysed(
    argv: Sequence[str], sizes: Sequence[int], what: str, target: float | None, times: int
) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name:
        folders = [synthetic.write_run(Path(name), repeats, seed=seed) for seed, repeats in enumerate(sizes, 1)]
        size = sum((folder / store.TRIALS).stat().st_size for folder in folders)
        found, busy, peak = [], [], 0
        for _ in range(times):
            start = time.perf_counter()
            process = subprocess.Popen([*argv, *map(str, folders)], stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            assert status == 0
            found.append(time.perf_counter() - start)
            busy.append(usage.ru_utime + usage.ru_stime)
            peak = max(peak, usage.ru_maxrss)
    how = f"synthetic records, {size / 2**20:.0f} MiB, {times} times; {min(busy):.1f} s of processor time"
    yield Figure(what, statistics.median(found), "s", target, detail=how)
    yield Figure("peak RSS of that", peak / 2**10, "MiB", 2e9 / 2**20)


def lake_table(_: argparse.Namespace) -> Iterator[Figure]:
    """The per-category table of docs/sql.md over a large lake, by DuckDB in a fresh process."""
    seconds, peak, size, cells = lake.measured()
    how = (
        f"synthetic rows, {size / 2**20:.0f} MiB of Parquet, {cells} cells, {len(seconds)} processes, imports included"
    )
    yield Figure(
        f"the table by category over a lake of {lake.ROWS:,} trials", statistics.median(seconds), "s", 5.0, detail=how
    )
    yield Figure("peak RSS of that", peak / 2**20, "MiB", 1e9 / 2**20)


def report_page(_: argparse.Namespace) -> Iterator[Figure]:
    """`specbench report --html` of a run of usual size and of a large one, in a fresh process, charts included."""
    for repeats, seconds in ((7, 6.0), (synthetic.REPEATS, 30.0)):
        with tempfile.TemporaryDirectory() as name:
            folder = synthetic.write_run(Path(name), repeats)
            page = Path(name) / "report.html"
            start = time.perf_counter()
            process = subprocess.Popen([*SPECBENCH, "report", folder, "--html", page])
            _, status, usage = os.wait4(process.pid, 0)
            found = time.perf_counter() - start
            assert status == 0
            trials = synthetic.TRIALS * repeats // synthetic.REPEATS
            how = f"synthetic records, 40 rows; {usage.ru_utime + usage.ru_stime:.1f} s of processor time"
            yield Figure(f"the HTML report of {trials:,} trials", found, "s", seconds, detail=how)
            yield Figure("its size", page.stat().st_size / 2**20, "MiB", 3.0)
            yield Figure("peak RSS of that", usage.ru_maxrss / 2**10, "MiB", 1e9 / 2**20)


def inspect(_: argparse.Namespace) -> Iterator[Figure]:
    """`specbench inspect` on a large model, in a fresh process; only headers are read."""
    found, busy, peaks = [], [], []
    with tempfile.TemporaryDirectory() as name:
        model = synthetic.write_model(Path(name) / "large.gguf")
        for _number in range(5):
            start = time.perf_counter()
            process = subprocess.Popen([*SPECBENCH, "inspect", model, "--no-discover"], stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            found.append(time.perf_counter() - start)
            busy.append(usage.ru_utime + usage.ru_stime)
            peaks.append(usage.ru_maxrss * 1024)
            assert status == 0
        size = model.stat().st_size
    how = f"{size / 1e9:.0f} GB in a sparse file, 2,000 tensors, 150,000 tokens, {len(found)} runs; "
    how += f"{statistics.median(busy):.2f} s of processor time"
    yield Figure("`specbench inspect` on a large GGUF", statistics.median(found), "s", 1.0, detail=how)
    yield Figure("peak RSS of that", max(peaks) / 2**20, "MiB", 150e6 / 2**20)


def planning(_: argparse.Namespace) -> Iterator[Figure]:
    """Planning a sweep of more than 10,000 trials; the reading of model headers included."""
    values = [round(0.01 * n, 2) for n in range(41)]
    asked = {"targets": [{"model": "micro", "drafters": "micro-draft"}], "temperatures": [0, 0.8], "control": False}
    swept = {"draft_tokens_max": [1, 2, 4, 8], "p_min": values}
    runfile = validate_runfile({**asked, "methods": ["draft-model"], "method_settings": {"draft-model": swept}})
    runfile = runfile.model_copy(update={"prompts_per_category": 4})
    found = []
    for _ in range(5):
        start = time.perf_counter()
        plan = pipeline.plan_run(runfile)
        found.append(time.perf_counter() - start)
    trials = extent.extent(plan).trials
    detail = f"{len(plan.contenders)} contenders, 5 plans"
    yield Figure(f"planning {trials:,} trials", statistics.median(found), "s", trials / 10_000, detail=detail)


def tune(asked: argparse.Namespace) -> Iterator[Figure]:
    """Tuning against measuring everything: the heavier embedded target and its trained drafters at every length.

    Twenty-five candidates on code and JSON; about ten minutes on a quiet machine.
    """
    runfile = RunFile.model_validate(
        {
            "targets": [{"model": "ballast", "drafters": ["micro-draft", "micro-eagle3", "micro-dflash"]}],
            "categories": ["code", "json"],
            "methods": ["draft-model", "eagle3", "dflash", "ngram-simple"],
            "method_settings": {"dflash": {"draft_tokens_max": [1, 2, 3, 4, 5]}},  # its block ends there
            "prompts_per_category": 20,
            "output_tokens": 32,
            "engine_settings": {"threads": asked.threads},
        }
    )
    grid = tuning.grid(runfile, temperature=0.0)
    with tempfile.TemporaryDirectory() as name:
        start = time.perf_counter()
        _, tuned = tuning.tune(grid, results=Path(name), progress=lambda _: contextlib.nullcontext(Silent()))
        tuned_seconds = time.perf_counter() - start
        start = time.perf_counter()
        outcome = pipeline.start(grid, results=Path(name), observe=Silent().observe)
        whole_seconds = time.perf_counter() - start
        whole = deciding.ratios(grid.contenders, store.read(outcome.path).results)
    losses, worse = [], []
    for winner in tuned.winners:
        standings = deciding.standings(whole[winner.category], look=1)
        speeds = {s.contender: s.speedup for s in standings}
        losses.append(max(speeds.values()) / speeds[winner.contender] - 1)
        worse += [] if winner.contender in deciding.survivors(standings) else [winner.category]
    names = ", ".join(f"{w.category}: {w.contender}" for w in tuned.winners)
    yield Figure(
        "wall time of the full grid / of `specbench tune`",
        whole_seconds / tuned_seconds,
        "times",
        3.0,
        at_least=True,
        detail=f"{len(grid.contenders)} candidates, {tuned.grid} trials / {tuned.trials}, "
        f"{whole_seconds:.0f} s / {tuned_seconds:.0f} s; {names}",
    )
    yield Figure(
        "what the tuned settings lose against the full grid's fastest, by its own figures",
        max(losses) * 100,
        "%",
        2.0,
        detail="the largest of the categories; 0 means the same winners, and below 2 % they count as equal; "
        f"the full grid tells its fastest from the tuned one in {', '.join(worse) or 'no category'}",
    )
    again = replay.replayed(grid, whole)
    many = sum(loss > 0.02 for loss in again.losses) / len(again.losses)  # noqa: PLR2004  what counts as equal
    yield Figure(
        "trials of tuning / of that grid, replayed 200 times with its prompts in random order",
        again.trials / tuned.grid,
        "times",
        detail=f"{again.trials:.0f} of {tuned.grid}; the choice loses {statistics.fmean(again.losses):.1%} of speed on "
        f"average, more than 2 % in {many:.0%} of categories",
    )


def until_known(asked: argparse.Namespace) -> Iterator[Figure]:
    """Output tokens of a whole plan against `--until`, for the same widest interval."""
    found = until.measure(asked.threads)
    stopped = f"{found.stopped} of {found.cells} methods x categories stopped before {found.prompts} prompts"
    yield Figure(
        f"output tokens of a whole run / of `--until ci={found.width:.0%}`",
        found.whole / found.adaptive,
        "times",
        3.0,
        at_least=True,
        detail=f"the smallest width that all reach; {found.whole} / {found.adaptive} tokens; {stopped}",
    )
    yield Figure(
        "output tokens of the smallest run of equal parts that has that width everywhere / of `--until`",
        found.fixed / found.adaptive,
        "times",
        detail=f"{found.fixed_prompts} prompts a category, which nobody knows before the run",
    )
    yield Figure(
        "prompts of the whole run / of one who knows every spread beforehand and looks once",
        found.oracle,
        "times",
        detail="what no rule can save more than on these methods and categories at this width",
    )


class Silent:
    """Shows nothing."""

    def observe(self, event: object) -> None: ...


def durability(_: argparse.Namespace) -> Iterator[Figure]:
    """What it costs to flush and fsync each record, as a share of a short generation."""
    generations = [r for r in small_run("--prompts", "4", "--output-tokens", "64") if isinstance(r, Generation)]
    generation = statistics.median(g.total for g in generations)
    with tempfile.TemporaryDirectory(dir=ROOT) as name:
        plan, costs = synthetic.plan(), []
        with store.create(Path(name), plan, synthetic.MACHINE) as folder:
            for record in itertools.islice(synthetic.generations(plan), 300):
                start = time.perf_counter()
                folder.append(record)
                costs.append(time.perf_counter() - start)
    median = statistics.median(costs)
    yield Figure(
        "flush and fsync of a record / a generation of 64 tokens",
        median / generation * 100,
        "%",
        detail=f"{median * 1000:.2f} ms (95 % below {statistics.quantiles(costs, n=20)[-1] * 1000:.2f} ms) of "
        f"{generation * 1000:.0f} ms, embedded targets; between trials, so no generation waits for it",
    )


# ----------------------------------------------------------------------------------------------------------- shared


def embedded(name: str) -> Path:
    return micro.model_file(name, weights=datafiles.path("micro/weights"), cache=datafiles.cache_folder())


def alternating(first: Callable[[], T], second: Callable[[], T], *, pairs: int) -> Iterator[tuple[T, T]]:
    """Pairs of measurements; each goes first in every other pair."""
    for number in range(pairs):
        if number % 2:
            b = second()
            yield first(), b
        else:
            a = first()
            yield a, second()


def interval(values: Sequence[float]) -> str:
    """The 95 % interval of the median, from order statistics."""
    ordered, spread = sorted(values), 0.98 * len(values) ** 0.5
    low, high = (ordered[round(len(values) / 2 + side * spread)] for side in (-1, 1))
    return f"95 % interval {low:.3f} to {high:.3f}"


MEASURES = {
    "overhead": overhead,
    "instrumented": instrumented,
    "telemetry": watching,
    "help": help_time,
    "first-token": first_token,
    "default-run": default_run,
    "bandwidth": bandwidth,
    "analysis": analysis,
    "report": report_page,
    "lake": lake_table,
    "inspect": inspect,
    "planning": planning,
    "tune": tune,
    "until": until_known,
    "durability": durability,
}


def page(figures: list[tuple[str, Figure]], asked: argparse.Namespace) -> str:
    """docs/performance.md."""
    table = rig.markdown_table(
        ["figure", "target", "measured", "met", "how"],
        [
            [f.what, limit(f), shown(f), "" if f.target is None else ("yes" if f.met else "**no**"), f.detail]
            for _, f in figures
        ],
    )
    return f"""# What specbench itself costs

`make benchmarks` (`python benchmarks/run.py`) writes this page; `--only NAME` measures one of
{", ".join(f"`{name}`" for name in MEASURES)}. None of it is a timed test: machines differ.

{table}
- Command: `python benchmarks/run.py --threads {asked.threads} --pairs {asked.pairs}`
- Versions: specbench {specbench.__version__}, Python {sys.version.split()[0]}
- Machine: {rig.machine()}; {rig.load_note()}
- Date: {datetime.now(UTC):%Y-%m-%d}
"""


def limit(figure: Figure) -> str:
    if figure.target is None:
        return "-"
    return f"{'at least' if figure.at_least else 'at most'} {figure.target:g} {figure.unit}"


def shown(figure: Figure) -> str:
    return f"{figure.measured:.3f} {figure.unit}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=MEASURES, action="append", help="measure this only, and write no page")
    parser.add_argument("--llama-server", type=Path, default=rig.program("llama-server"), metavar="PATH")
    parser.add_argument(
        "--model", type=Path, metavar="GGUF", help="for the overhead; default: the embedded ballast target"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=20, help="of measurements that are compared")
    parser.add_argument("--million", action="store_true", help="analysis: a million trials too; some minutes")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    asked = parser.parse_args()
    figures = []
    for name in asked.only or MEASURES:
        for figure in MEASURES[name](asked):
            print(f"{name}: {figure.what}: {shown(figure)} (target {limit(figure)}) {figure.detail}", flush=True)
            figures.append((name, figure))
    if not asked.only:
        asked.page.write_text(page(figures, asked), encoding="utf-8")
    return 0 if all(figure.met for _, figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
