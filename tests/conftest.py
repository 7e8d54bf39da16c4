"""Fixtures that more than one area of the tests uses."""

import functools
from collections.abc import Callable

import pytest
from known_answer.models import KnownAnswer, write_models


@pytest.fixture(scope="session")
def known_answer_family(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], KnownAnswer]:
    """Models that walk so many tokens, with a draft model that is wrong on so many of them."""

    @functools.cache
    def family(cycle: int, wrong: int) -> KnownAnswer:
        return write_models(tmp_path_factory.mktemp(f"known-answer-{cycle}-{wrong}"), cycle=cycle, wrong=wrong)

    return family


@pytest.fixture(scope="session")
def known_answer_models(known_answer_family: Callable[[int, int], KnownAnswer]) -> KnownAnswer:
    """A target, a draft model that agrees with it on three of four tokens, and one that always does."""
    return known_answer_family(64, 16)
