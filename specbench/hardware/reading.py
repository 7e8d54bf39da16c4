"""One reading at a time: a value, or the reason why there is none. What was asked is kept, for a capture."""

import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from specbench.records import Accelerator, Vendor

# Lines that identify one card or board; they are dropped before anything sees them
_IDENTIFYING = re.compile(r"^[ \t]*(?:serial\w*|uuid|unique_id)\b.*\n?", re.IGNORECASE | re.MULTILINE)
_PCI_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
NO_VALUE = {2**bits - 1 for bits in (16, 32, 64)}  # what drivers answer for "there is none"
_NO_TEXT = {"", "n/a", "[n/a]", "unknown"}
_PLAUSIBLE: dict[str, tuple[float, float]] = {  # by the beginning of a reading's name, in base units
    "memory": (2**20, 2**50),
    "power": (1, 20_000),
    "pcie_generation": (1, 8),
    "pcie_width": (1, 32),
    "clock": (10**6, 10**11),
    "bandwidth": (10**9, 10**14),
    "units": (1, 10**5),
    "cores": (1, 10**6),
    "cache": (2**10, 2**40),
}


@dataclass(frozen=True)
class Missing:
    """Why there is no value. Begins with `unsupported`, `no permission`, `no driver`, `not asked` or `error`."""

    reason: str


@dataclass
class Source:
    """Where readings come from: files below `root`, and, when `live`, this machine's drivers, programs and variables.

    `recorded` answers everything instead: the readings of a capture. `seen` is all that was asked, by its key.
    """

    root: Path = Path("/")
    environment: Mapping[str, str] = field(default_factory=dict)
    live: bool = True
    recorded: Mapping[str, Any] | None = None
    seen: dict[str, Any] = field(default_factory=dict)

    def ask(self, key: str, question: Callable[[], Any], *, file: bool = False) -> Any:
        """The answer, which JSON must be able to hold, or Missing; a question is asked once."""
        if key not in self.seen:
            if self.recorded is not None:
                self.seen[key] = self.recorded.get(key, Missing("error: the capture has no such reading"))
            elif not self.live and not file:
                self.seen[key] = Missing("not asked: only the files of another machine are here")
            else:
                self.seen[key] = _answer(key.partition(" ")[2], question)
        return self.seen[key]

    def file(self, path: str) -> str | Missing:
        """The text of a file below the root, stripped."""
        question = (self.root / path).read_text
        read = self.ask(
            f"file {path}", lambda: _IDENTIFYING.sub("", question(encoding="utf-8", errors="replace")), file=True
        )
        return read.strip() if isinstance(read, str) else Missing(read.reason)

    def number(self, path: str, *, times: int = 1, per: int = 1) -> float | Missing:
        """The number, decimal or 0x, in a file: `times` and `per` bring it to base units."""
        text = self.file(path)
        if isinstance(text, Missing):
            return text
        if not re.fullmatch(r"\d+|0x[0-9a-fA-F]+", text):
            return Missing(f"error: /{path} says {text[:40]!r}")
        value = int(text, 16 if text.startswith("0x") else 10)
        return (
            Missing(f"error: /{path} says {text}") if value in NO_VALUE else value * times if per == 1 else value / per
        )

    def names(self, path: str) -> list[str]:
        """What a folder holds, sorted; empty when it cannot be read."""
        found = self.ask(f"names {path}", lambda: sorted(os.listdir(self.root / path)), file=True)  # noqa: PTH208
        return [] if isinstance(found, Missing) else list(found)

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""
        return self.ask(f"exists {path}", (self.root / path).exists, file=True) is True

    def target(self, path: str) -> str | Missing:
        """The name of what a link leads to."""
        found: str | Missing = self.ask(f"link {path}", lambda: (self.root / path).readlink().name, file=True)
        return found

    def bridges(self, path: str) -> list[str]:
        """PCI addresses of what a device hangs on, nearest first."""

        def above() -> list[str]:
            parents = (parent.name for parent in (self.root / path).resolve().parents)
            return [name for name in parents if _PCI_ADDRESS.fullmatch(name)]

        found = self.ask(f"bridges {path}", above, file=True)
        return [] if isinstance(found, Missing) else list(found)

    def program(self, name: str, argv: Sequence[str], *, timeout: float = 20.0) -> str | Missing:
        """What a program writes to standard output."""

        def run() -> str | Missing:
            try:
                told = subprocess.run(
                    argv, capture_output=True, encoding="utf-8", errors="replace", timeout=timeout, check=False
                )
            except subprocess.TimeoutExpired:
                return Missing(f"error: no answer within {timeout:g} s")
            words = told.stderr.strip().splitlines()
            failed = Missing(f"error: it ended with {told.returncode}: {words[-1] if words else 'without a word'}")
            return failed if told.returncode else told.stdout.strip()

        answer: str | Missing = self.ask(f"program {name}", run)
        return answer


def _answer(what: str, question: Callable[[], Any]) -> Any:
    try:
        return question()
    except FileNotFoundError:
        return Missing(f"unsupported: there is no {what}")
    except PermissionError:
        return Missing(f"no permission: {what}")
    except OSError as error:
        return Missing(f"error: {what}: {error.strerror or error}")


@dataclass
class Facts:
    """The readings of one device as they come in: values on one side, reasons on the other."""

    values: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def put(self, name: str, reading: Any) -> None:
        """Keep a reading; a value that cannot be is a reason, and a reason never replaces a value."""
        reading = _checked(name, reading)
        if not isinstance(reading, Missing):
            self.values[name] = reading
            self.reasons.pop(name, None)
        elif name not in self.values:
            self.reasons[name] = reading.reason

    def accelerator(self, vendor: Vendor) -> Accelerator:
        """The record of what was read."""
        told = {}
        for name in ("name", "pci_id", "pci_address", "target", "memory", "units", "unified"):
            told[name] = self.values.pop(name, None)
            if told[name] is None:
                self.reasons.setdefault(name, "unsupported: nothing here tells it")
        return Accelerator(vendor=vendor, **told, readings=self.values, reasons=self.reasons)


def _checked(name: str, reading: Any) -> Any:
    if isinstance(reading, str):
        return Missing(f"unsupported: the answer is {reading!r}") if reading.strip().lower() in _NO_TEXT else reading
    if isinstance(reading, bool) or not isinstance(reading, int | float):
        return reading
    low, high = next((limits for start, limits in _PLAUSIBLE.items() if name.startswith(start)), (None, None))
    absurd = reading in NO_VALUE or (low is not None and high is not None and not low <= reading <= high)
    return Missing(f"error: the answer is {reading:g}, which cannot be") if absurd else reading
