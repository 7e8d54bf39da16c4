"""Progress on standard error, answers on standard output. What is said is decided elsewhere; here it is drawn."""

import json as json_text
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from specbench import pipeline
from specbench.analysis.comparison import Comparison
from specbench.analysis.tuning import Tuned
from specbench.cli import flags
from specbench.cli.buying import show_machines
from specbench.cli.sections import show
from specbench.errors import InputError, SpecbenchError
from specbench.execution import Event, TrialStarted
from specbench.planning.extent import Extent
from specbench.records import Enough, Failure, Generation, Plan, Skip
from specbench.remote import shown
from specbench.report.formats import rendered
from specbench.report.section import Section
from specbench.report.text import sections
from specbench.report.tuned import tuned_sections
from specbench.store import Run
from specbench.units import duration, percent, printable, significant

_PLAIN_EVERY = 10.0  # seconds between lines when there is no terminal


class Progress:
    """What runs now, how long it will take, and the running result of each contender, or of each node of a fleet.

    `times`: different machines that carry the plan out.
    """

    def __init__(self, plan: Plan, *, nodes: Sequence[str] = (), times: int = 1) -> None:
        self._console = Console(stderr=True)
        self._live: Live | None = None
        self._each = Counter(t.contender for b in plan.blocks for t in b.trials if t.role != "warm-up")
        self._planned = Counter({name: times * count for name, count in self._each.items()})
        self._nodes = nodes
        self._tallies = {name: pipeline.Tally() for name in nodes or self._planned}
        self._skipped: set[str] = set()
        self._said: set[str] = set()
        self._now: dict[str | None, str] = {None: "starting"}
        self._started = time.monotonic()
        self._last_line = self._started

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=4, transient=True, get_renderable=self._draw)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def observe_on(self, node: str, event: Event | str) -> None:
        """Take in what happens on a node of a fleet, why it is lost, or under no name news of the storage."""
        if isinstance(event, str):
            if node in self._tallies:
                self._now[node] = "lost"
            self._say(f"[red]{escape(event)}[/red]")
        else:
            self.observe(event, node=node)

    def observe(self, event: Event | str, *, node: str | None = None) -> None:
        """Take in what execution yields; called once for each event."""
        if isinstance(event, str):
            self._say(escape(event))
        elif isinstance(event, TrialStarted):
            self._now[node] = self._now[None] = (
                f"{event.trial.contender}  {event.trial.prompt}  temperature {event.trial.temperature:g}"
            )
        elif isinstance(event, Generation | Failure):
            self._tallies[node or event.trial.contender].add(event)
            if isinstance(event, Failure):
                self._say(f"[red]failed[/red] {escape(event.trial.id)}: {escape(event.message)}")
        elif isinstance(event, Enough):
            self._planned[event.contender] -= len(event.trials)
            self._say(f"enough {escape(event.contender)}, {event.category}: {event.reason}")
        elif isinstance(event, Skip):
            self._skipped.add(event.contender)
            self._planned[event.contender] = max(0, self._planned[event.contender] - self._each[event.contender])
            text = f"[yellow]skipped[/yellow] {escape(event.contender)}: {escape(event.reason)} ({escape(event.hint)})"
            if text not in self._said:  # each block of a contender may be skipped for the same reason
                self._said.add(text)
                self._say(text)
        if self._live is None and time.monotonic() - self._last_line >= _PLAIN_EVERY:
            self._last_line = time.monotonic()
            self._say(f"{self._done()} of {self._total()} trials, {self._eta()}; now {escape(self._now[None])}")

    def _say(self, text: str) -> None:
        self._console.print(printable(text), highlight=False, soft_wrap=True)

    def _done(self) -> int:
        return sum(tally.trials for tally in self._tallies.values())

    def _total(self) -> int:
        return self._planned.total()

    def _eta(self) -> str:
        done, spent = self._done(), time.monotonic() - self._started
        if not done:
            return "time left unknown"
        return f"about {duration(spent / done * max(0, self._total() - done))} left"

    def _draw(self) -> Group:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("node" if self._nodes else "contender", no_wrap=True)
        for title in ("trials", "tok/s", "accepted"):
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("now" if self._nodes else "", no_wrap=True, overflow="ellipsis")
        for name, tally in self._tallies.items():
            speed, accepted = tally.decode_speed(), tally.acceptance()
            of_all = "" if self._nodes else f"/{self._planned[name]}"
            table.add_row(
                Text(printable(name)),
                "skipped" if name in self._skipped else f"{tally.trials}{of_all}",
                "" if speed is None else significant(speed),
                "" if accepted is None else percent(accepted),
                Text(printable(self._now.get(name, ""))),
            )
        done, total = self._done(), max(1, self._total())
        head = Table.grid(padding=(0, 1))
        head.add_row(ProgressBar(total=total, completed=done, width=30), f"{done}/{total}", self._eta())
        return Group(head, Text(printable(self._now[None]), no_wrap=True, overflow="ellipsis"), table)


def show_comparison(
    run: Run, comparison: Comparison, *, format_: str, output: Path | None = None, others: Sequence[Section] = ()
) -> None:
    """The conclusions in one of the formats, and what `others` measured; text is drawn to the terminal's width."""
    for warning in run.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if format_ == "text":
        show([*sections(comparison), *others], output)
    else:
        flags.write(rendered(format_, comparison, others), output)


def show_tuned(tuned: Tuned, *, json: bool) -> None:
    """The winners and what starts the engine with them."""
    if json:
        print(json_text.dumps(asdict(tuned), indent=1))
    else:
        show(tuned_sections(tuned))


def agree(extent: Extent, *, yes: bool) -> None:
    """Ask before a large run; where nobody can be asked, InputError."""
    if yes or not extent.large:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InputError(f"that is a large run: {extent}", hint="sweep less, give a --budget, or say --yes")
    print(f"that is a large run: {extent}. Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise InputError("not started", hint="sweep less, or give a --budget")


def show_plan(plan: Plan, extent: Extent) -> None:
    """The contenders, how each is started, and how much will be measured."""
    print(extent)
    for contender in plan.contenders:
        print(printable(f"\n{contender.name}"))
        print(printable("  " + " ".join([contender.url or contender.executable or contender.engine, *contender.argv])))
    for method, reason in plan.left_out.items():
        print(printable(f"\n{method}: left out, {reason}"))
    for name, remark in plan.drafters_found.items():
        print(printable(f"\n{name}: {remark}"))


def conclude(outcomes: Sequence[pipeline.Outcome], *, json: bool, strict: bool, again: str) -> int:
    """Show what was measured, here or on several machines, and return the exit status: of several, the highest."""
    show_warnings(outcomes)
    read = [pipeline.read(outcome.path) for outcome in outcomes]
    told, status = [found for found in read if found[1].measured], 0
    with flags.reader_may_leave():
        if len(told) > 1:
            show_machines([run.path for run, _ in told], format_="json" if json else "text")
        elif told:
            show_comparison(*told[0], format_="json" if json else "text")
    for outcome, (run, comparison) in zip(outcomes, read, strict=True):
        show_outcome(outcome, run, again=again)  # before the page is drawn, which one may not wait for
        if comparison.measured:
            try:
                pipeline.write_page(run, comparison, page := outcome.path / "report.html")
                print(printable(f"report: {page}"), file=sys.stderr)
            except SpecbenchError as error:  # the records are there; `specbench report` can make it elsewhere
                print(f"warning: {error.message}", file=sys.stderr)
        status = max(status, pipeline.exit_status(outcome, run, comparison, strict=strict))
    return status


def show_warnings(outcomes: Sequence[pipeline.Outcome]) -> None:
    """What is not sent, and what else went wrong: before anything is read that may fail."""
    for warning in (warning for outcome in outcomes for warning in outcome.warnings):
        print(printable(f"warning: {warning}"), file=sys.stderr, flush=True)


def show_outcome(outcome: pipeline.Outcome, run: Run, *, again: str = "specbench run") -> None:
    """Where the records are, which trials failed, and the command that goes on; on standard error."""
    told: dict[str, None] = {}  # each block of a contender may be skipped for the same reason
    for result in run.results:
        if isinstance(result, Failure):
            told[f"failed: {result.trial.id}: {result.message} ({result.hint})"] = None
        elif isinstance(result, Skip):
            told[f"skipped: {result.contender}: {result.reason} ({result.hint})"] = None
    for line in told:
        print(printable(line), file=sys.stderr)
    print(printable(f"records: {shown(outcome.path)}"), file=sys.stderr)
    if outcome.remaining:
        why = {"interrupted": "interrupted: ", "budget": "the budget is used up: ", None: ""}[outcome.stopped]
        print(
            f"{why}{outcome.remaining} trials are left; go on with: {again} --resume {quote(shown(outcome.path))}",
            file=sys.stderr,
        )
