"""Hostile inputs for everything that reads what others wrote: valid ones, broken by seeded dice.

Rule: a result or an error of our own, within 2 s of processor time, below 500 MB. `torture.py --only hostile` counts;
`python benchmarks/hostile.py NAME NUMBER --seed SEED > FILE` writes one input, to look at it. POSIX only.
"""

import argparse
import multiprocessing
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from mutations import broken
from parsers import NAMES, parser

from specbench.errors import SpecbenchError

SECONDS, BYTES = 2.0, 500e6
_ADDRESSES = 6 * 2**30  # what a parser may reserve before it is stopped


class TooLongError(BaseException):
    """No error of ours may swallow it."""


def _too_long(_: int, __: FrameType | None) -> NoReturn:
    raise TooLongError


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """TooLongError once so much processor time was used: other work on the machine does not count."""
    before = signal.signal(signal.SIGPROF, _too_long)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def made(name: str, number: int, seed: int) -> bytes:
    """An input, always the same for these three."""
    return broken(random.Random(f"{seed}/{name}/{number}"), parser(name).seeds)  # noqa: S311  no secret


def verdict(name: str, data: bytes, folder: Path) -> str:
    """`read`, `refused`, or what it should not have done."""
    try:
        with limited(SECONDS), warnings.catch_warnings(action="error"):
            parser(name).read(data, folder)
    except SpecbenchError:
        return "refused"
    except TooLongError as error:
        return f"HANG {_where(error)}"
    except Exception as error:  # noqa: BLE001  what is looked for
        return f"{type(error).__name__} {_where(error)}: {str(error)[:80]!r}"
    return "read"


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/specbench/" in frame.filename] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"


@dataclass
class Tally:
    """`wrong`: the first input by what it did, without the words of the message, and how many did the same."""

    read: int = 0
    refused: int = 0
    wrong: dict[str, tuple[int, str]] = field(default_factory=dict)
    many: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    peak: int = 0


def tried(name: str, numbers: Iterable[int], *, seed: int, at: Any = None) -> Tally:
    """Those inputs, one after the other. `at` is told the number before each, for one that ends the process."""
    tally = Tally()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:  # noqa: S108
        for number in numbers:
            if at is not None:
                at.value = number
            data = made(name, number, seed)
            began = time.process_time()
            found = verdict(name, data, Path(folder))
            tally.slowest = max(tally.slowest, time.process_time() - began)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            if at is not None and peak > BYTES >= tally.peak:
                found = f"{peak / 1e6:.0f} MB: by now"
            tally.peak = max(tally.peak, peak)
            if found in ("read", "refused"):
                setattr(tally, found, getattr(tally, found) + 1)
                continue
            kind = found.partition(": ")[0]
            tally.wrong.setdefault(kind, (number, found))
            tally.many[kind] += 1
    return tally


def _child(name: str, numbers: range, seed: int, at: Any, told: Any) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
    told.send(tried(name, numbers, seed=seed, at=at))


def campaign(_: Path, asked: argparse.Namespace, __: random.Random) -> Counter[str]:
    """Every parser in a process of its own."""
    seen = Counter[str]()
    start = multiprocessing.get_context("fork")
    for name in asked.parser or NAMES:
        began = time.monotonic()
        at, (ours, theirs) = start.Value("q", -1), start.Pipe(duplex=False)
        numbers = range(asked.first, asked.first + asked.inputs)
        process = start.Process(target=_child, args=(name, numbers, asked.seed, at, theirs))
        process.start()
        theirs.close()
        try:
            tally = ours.recv()
        except EOFError:
            died = f"the process ended at input {at.value}"
            tally = Tally(wrong={died: (at.value, died)}, many=Counter((died,)))
        process.join()
        wrong = sum(tally.many.values())
        print(
            f"  {name}: {tally.read} read, {tally.refused} refused, {wrong} WRONG; slowest {tally.slowest:.2f} s, peak "
            f"{tally.peak / 1e6:.0f} MB, {time.monotonic() - began:.0f} s",
            flush=True,
        )
        for kind, (number, found) in tally.wrong.items():
            print(f"    WRONG {tally.many[kind]} times, first input {number}: {found}", flush=True)
        seen["hostile inputs"] += tally.read + tally.refused + wrong
        seen["inputs that were read"] += tally.read
        seen["inputs that were refused"] += tally.refused
        seen["inputs that went WRONG"] += wrong
    return seen


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("name", choices=NAMES)
    options.add_argument("number", type=int)
    options.add_argument("--seed", type=int, required=True)
    asked = options.parse_args()
    data = made(asked.name, asked.number, asked.seed)
    sys.stdout.buffer.write(data)
    with tempfile.TemporaryDirectory() as folder:
        parser(asked.name).read(data, Path(folder))


if __name__ == "__main__":
    main()
