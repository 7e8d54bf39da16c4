"""Price lists: the example is right, and what is wrong in one is told."""

import pytest

from specbench import datafiles
from specbench.errors import InputError
from specbench.planning.pricelist import price_list

EXAMPLE = (datafiles.path("prices") / "example.toml").read_text(encoding="utf-8")


def test_the_example_is_marked_and_every_number_has_a_source_and_a_date() -> None:
    found = price_list("example", EXAMPLE)
    assert found.example
    named = list(found.quantities())
    assert len(named) > 40
    assert {quantity.source for _, quantity in named} == set(found.sources)
    assert "RTX 3090, used idle watts" in {words for words, _ in named}


def test_the_computer_around_cards_is_added_to_them() -> None:
    found = price_list("example", EXAMPLE)
    card = next(m for m in found.machines if m.name == "RTX 3090, used")
    assert found.paid(card).price.value == 850 + 500
    assert found.paid(card).watts.high == 350 + 100
    alone = next(m for m in found.machines if m.name.startswith("Strix"))
    assert found.paid(alone).price.value == 2500


@pytest.mark.parametrize(
    ("was", "becomes", "what"),
    [
        ("value = 850, low = 700", "value = 850, low = 900", "850 is not between 900 and 1000"),
        ('source = "insider"', 'source = "insidr"', "did you mean 'insider'?"),
        ("value = 850", "value = -1", "greater than or equal to 0"),
        ("value = 0.25\nlow = 0.15", "value = 0.25\nlow = 0", "electricity cannot be 0"),
        ("years = 3", "years = 0", "years"),
        ("value = 4\nlow = 2\nhigh = 8", "value = 4\nlow = 2\nhigh = 25", "a day has 24"),
        ("rent = { value = 0.30", "price = { value = 0.30", "needs watts and idle_watts"),
        ("idle_watts = { value = 20, low = 10, high = 30", "idle_watts = { value = 20, low = 10, high = 300", "waits"),
        ('device = "rtx3090"', 'devise = "rtx3090"', "did you mean 'device'?"),
        ("[host]", "[hoist]", "unknown key 'hoist'"),
        ("example = true", "example = ", "is not TOML"),
    ],
)
def test_what_is_wrong_is_told(was: str, becomes: str, what: str) -> None:
    assert was in EXAMPLE
    with pytest.raises(InputError) as told:
        price_list("mine.toml", EXAMPLE.replace(was, becomes))
    assert what in told.value.message
    assert "docs/buying.md" in told.value.hint
