"""Notes of one kind stand in one line, and each place keeps what was said of it."""

from types import SimpleNamespace
from typing import Any

from specbench.analysis.checks import note
from specbench.report.text import _notes


def lines(*messages: tuple[str, str]) -> list[str]:
    notes = [note("DIVERGED", text, contender=name, category="code") for name, text in messages]
    found: Any = SimpleNamespace(energy="no energy", skipped=(), notes=notes)
    return [line.partition(". Compare")[0] for line in _notes(found)][1:]


def test_places_with_the_same_words_share_them() -> None:
    same = "2 of 8 outputs differ, the first at token 12"
    assert lines(("draft", same), ("ngram", same)) == [f"DIVERGED draft (code), ngram (code): {same}"]


def test_places_with_other_words_do_not_get_those_of_the_first() -> None:
    first, other = "2 of 8 outputs differ, the first at token 12", "2 of 8 outputs differ, the first at token 3"
    assert lines(("draft", first), ("ngram", other)) == [
        f"DIVERGED draft (code): {first}; and 1 more like it: ngram (code)"
    ]
