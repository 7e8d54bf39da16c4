"""How drafts are verified at temperature 1, told apart by what is accepted of a target and a drafter that are alike.

Both name the walk's next token with p = 0.7, otherwise the one after it. Greedy match takes the drafter's likelier
token and keeps it where the target draws the same: 0.7. Rejection sampling draws from the drafter, and keeps all.
"""

import subprocess
from collections.abc import Callable
from itertools import pairwise
from math import sqrt
from pathlib import Path

import pytest
from known_answer.models import LIKELIER, KnownAnswer
from known_answer.rig import DRAFTERS, answer, asked, contender, find_engine, prompt

from specbench.engines import catalog
from specbench.engines.base import Answer
from specbench.records import Contender
from specbench.structs import replace

pytestmark = pytest.mark.engine

XLLAMACPP = find_engine("xllamacpp")
SIGMAS = 4


@pytest.fixture
def forking(known_answer_family: Callable[..., KnownAnswer]) -> KnownAnswer:
    return known_answer_family(64, 0, forking=True)


def drawn(chosen: Contender, models: KnownAnswer, tmp_path: Path) -> Answer:
    return answer(chosen, asked(models, 600, temperature=1.0), log=tmp_path / "engine.log")


def likely(successes: int, trials: int) -> bool:
    """Whether so many successes are what LIKELIER gives."""
    return abs(successes - trials * LIKELIER) <= SIGMAS * sqrt(trials * LIKELIER * (1 - LIKELIER))


@pytest.mark.parametrize("drafter", ["draft-model", "mtp", "mtp, three heads"])
@pytest.mark.parametrize("draft_sampling", ["greedy", "probabilistic"])
def test_the_recorded_rule_is_the_one_that_the_engine_applied(
    forking: KnownAnswer, tmp_path: Path, drafter: str, draft_sampling: str
) -> None:
    chosen = contender(XLLAMACPP, forking, DRAFTERS[drafter], settings={"draft_sampling": draft_sampling})
    got = drawn(chosen, forking, tmp_path)
    accepted = got.counts.accepted_by_position
    assert accepted
    assert got.counts.drafted_steps
    tried = (got.counts.drafted_steps, *accepted[:-1])
    if draft_sampling == "greedy":
        assert got.verification_rule == "greedy-match"
        assert all(likely(kept, of) for kept, of in zip(accepted, tried, strict=True))
    else:
        assert got.verification_rule == "rejection-sampling"
        assert all(kept > 0.98 * of for kept, of in zip(accepted, tried, strict=True))
    assert got.output_ids is not None
    walk = [forking.maps.target[token] for token in (prompt(forking)[-1], *got.output_ids[:-1])]
    assert likely(sum(a == b for a, b in zip(walk, got.output_ids, strict=True)), len(walk))


@pytest.mark.parametrize("drafter", ["eagle3", "dspark", "dflash"])
def test_the_other_drafters_are_verified_by_greedy_match_whatever_the_engine_is_told(
    forking: KnownAnswer, tmp_path: Path, drafter: str
) -> None:
    """The reason why they have no `draft_sampling`. When this fails, the engine has learnt it: give it to them."""
    chosen = contender(XLLAMACPP, forking, DRAFTERS[drafter])
    told = replace(chosen, argv=(*chosen.argv, "speculative.draft.probabilistic=true"))
    got, expected = drawn(told, forking, tmp_path), drawn(chosen, forking, tmp_path)
    assert got.verification_rule == "greedy-match"
    assert (got.output_ids, got.counts) == (expected.output_ids, expected.counts)
    accepted = got.counts.accepted_by_position or ()
    if drafter != "dflash":  # which is hardly ever right. The state that eagle3 begins with is that of the token before
        assert all(likely(kept, of) for of, kept in pairwise(accepted))


def test_a_binary_without_the_setting_is_skipped_before_anything_starts(known_answer_models: KnownAnswer) -> None:
    engine = find_engine("llama-server")
    plain = contender(engine, known_answer_models, DRAFTERS["mtp"])
    chosen = contender(engine, known_answer_models, DRAFTERS["mtp"], settings={"draft_sampling": "probabilistic"})
    assert catalog.check_available(plain) is None
    skip = catalog.check_available(chosen)
    shown = subprocess.run([str(engine[1]), "--help"], capture_output=True, text=True, check=True).stdout
    lacking = "llama-server has no --spec-draft-sampling"
    assert (skip and skip.reason) == (None if "--spec-draft-sampling" in shown else lacking)
