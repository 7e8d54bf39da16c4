"""Fixtures that more than one area of the tests uses."""

import functools
import os
import time
from collections.abc import Callable

import hypothesis
import pytest
from known_answer.models import KnownAnswer, write_models


@pytest.fixture(scope="session")
def known_answer_family(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., KnownAnswer]:
    """Models that walk so many tokens, with drafters that are wrong on so many of them."""

    @functools.cache
    def family(cycle: int, wrong: int, *, forking: bool = False) -> KnownAnswer:
        return write_models(tmp_path_factory.mktemp("known-answer"), cycle=cycle, wrong=wrong, forking=forking)

    return family


@pytest.fixture(scope="session")
def known_answer_models(known_answer_family: Callable[..., KnownAnswer]) -> KnownAnswer:
    """A target, and drafters that agree with it on three of four tokens."""
    return known_answer_family(64, 16)


hypothesis.settings.register_profile("any machine", deadline=None)  # a busy one is no fault of the code
hypothesis.settings.load_profile("any machine")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """On a slow machine what has no time left is skipped, so that the tests come to their end."""
    if "engine" in item.keywords and time.time() > float(os.environ.get("SPECBENCH_TESTS_UNTIL", "inf")):
        pytest.skip("no time is left for engines: SPECBENCH_TESTS_UNTIL")
