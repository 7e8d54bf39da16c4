"""Is a build that is 8 % slower caught, and an equal one let pass? Real runs, in turns, judged by `specbench compare`.

Three arms of equal runs of the embedded family on one llama-server: base, again, and slowed. The slowed one's server is
stopped for 8 % of the time (SIGSTOP, SIGCONT, 20 times a second), as a throttled or busy machine would do it.
"""

import argparse
import itertools
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path

import psutil

from specbench import api, history, pipeline
from specbench.analysis.regression import Regression
from specbench.cli.sections import show
from specbench.planning.runfile import RunFile, validate_runfile
from specbench.report.regression import sections

PERIOD = 0.05  # seconds


def plan(engine: Path, name: str, *, prompts: int) -> RunFile:
    """Plain decoding and a draft model on four kinds of work."""
    return validate_runfile(
        {
            "name": name,
            "targets": [{"model": "micro", "drafters": ["micro-draft"]}],
            "engine": f"llama-server={engine}",
            "methods": ["none", "draft-model"],
            "categories": ["code", "json", "chat", "creative"],
            "prompts_per_category": prompts,
            "output_tokens": 64,
            "temperatures": [0],
            "engine_settings": {"threads": 1, "context_size": 2048},
            "control": False,
        }
    )


@contextmanager
def stopped(share: float) -> Iterator[None]:
    """This process's engines stand still for `share` of the time."""
    over = threading.Event()

    def hold() -> None:
        while not over.is_set():
            with suppress(psutil.NoSuchProcess):  # one that ended meanwhile
                servers = [p for p in psutil.Process().children(recursive=True) if p.name() == "llama-server"]
                for _ in range(20 if servers else 0):
                    for server in servers:
                        server.suspend()
                    time.sleep(PERIOD * share)
                    for server in servers:
                        server.resume()
                    time.sleep(PERIOD * (1 - share))
            time.sleep(PERIOD / 10)

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(hold)
        try:
            yield
        finally:
            over.set()
            held.result()


def measure(engine: Path, results: Path, *, rounds: int, prompts: int, share: float) -> tuple[Regression, Regression]:
    """The base arm against its like, and against the slowed one."""
    arms: dict[str, list[Path]] = {"base": [], "again": [], "slowed": []}
    for _, which in itertools.product(range(rounds), arms):  # never one arm twice in a row
        with stopped(share) if which == "slowed" else nullcontext():
            planned = pipeline.plan_run(plan(engine, which, prompts=prompts))
            outcome = pipeline.start(planned, results=results, observe=lambda _: None)
        arms[which].append(outcome.path)
    base, again, slowed = (history.measured(paths)[0] for paths in arms.values())
    judged = partial(api.judged, base, fail_on=["decode_speed<-5%"], across=(), threshold=None)
    return judged(again), judged(slowed)


def main() -> int:
    """0 when the slowed arm is caught and the equal one is not called slower."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama-server", type=Path, default=Path("llama-server"))
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--prompts", type=int, default=5)
    parser.add_argument("--share", type=float, default=0.08, help="of the time, that the slowed server stands still")
    parser.add_argument("--results", type=Path, help="keep the runs in this folder")
    asked = parser.parse_args()
    with nullcontext(asked.results) if asked.results else tempfile.TemporaryDirectory() as name:
        again, slowed = measure(
            asked.llama_server, Path(name), rounds=asked.rounds, prompts=asked.prompts, share=asked.share
        )
    for title, found in (("base against its like", again), (f"base against {asked.share:.0%} slower", slowed)):
        print(f"\n{title}: exit status {found.exit_status}\n")
        show(sections(found))
    return int(again.exit_status == 1 or slowed.exit_status != 1)


if __name__ == "__main__":
    sys.exit(main())
