from pathlib import Path

import pytest
from known_answer.models import KnownAnswer
from known_answer.rig import DRAFTERS

from specbench.models.gguf import read_facts


@pytest.mark.parametrize(
    ("file", "kind", "heads"),
    [
        ("target", None, 0),
        ("draft", None, 0),
        ("mtp", None, 1),
        ("mtp_three_heads", None, 3),
        ("eagle3", "eagle3", 0),
        ("dspark", "dspark", 0),
        ("dflash", "dflash", 0),
    ],
)
def test_the_header_of_a_file_says_what_kind_of_drafter_it_is(
    known_answer_models: KnownAnswer, file: str, kind: str | None, heads: int
) -> None:
    facts = read_facts(getattr(known_answer_models, file))
    assert (facts.drafter, facts.nextn_layers) == (kind, heads)


def test_the_files_are_small(known_answer_models: KnownAnswer) -> None:
    folder: Path = known_answer_models.target.parent
    assert sum(file.stat().st_size for file in folder.glob("*.gguf")) < 16e6


@pytest.mark.parametrize("kind", ["dflash", "dspark"])
def test_the_longest_draft_of_a_block_is_in_the_header(known_answer_models: KnownAnswer, kind: str) -> None:
    """`most` is what real engines drafted with these files: test_counts.py."""
    assert read_facts(getattr(known_answer_models, kind)).draft_tokens_most == DRAFTERS[kind].most
