import pytest
from analysis.synthetic import drafted, generation, ids

from specbench.analysis import lossless
from specbench.analysis.lossless import Lossless


def judge(
    *outputs: tuple[int, ...] | None, quant: str = "F16", gaps: object = None, temperature: float = 0
) -> Lossless:
    base = [generation("base", f"code-{i}", output_ids=ids()) for i in range(len(outputs))]
    controls = [generation("base", f"code-{i}", role="control", top_two_gaps=gaps) for i in range(len(outputs))]
    tried = [drafted(f"code-{i}", output_ids=out, temperature=temperature) for i, out in enumerate(outputs)]
    floor = lossless.floor([*base, *controls])
    return lossless.judge(tried, lossless.references(base, controls), quant=quant, here=floor, everywhere=floor)


def test_equal_output_is_lossless() -> None:
    assert judge(ids(), ids()) == Lossless(2, 2, exact=True, control_judged=2, kind="identical")
    assert judge(ids()).kind == "identical"


def test_a_difference_where_two_tokens_were_equally_likely_is_a_tie_flip() -> None:
    gaps = (5.0,) * 40 + (0.009,) + (5.0,) * 60
    found = judge(ids(40), ids(), gaps=gaps)
    assert (found.kind, found.tie_flips, found.tie_prompts, found.first) == ("tie flips", 1, ("code-0",), None)
    assert judge(ids(41), ids(), gaps=gaps).kind == "diverged"


@pytest.mark.parametrize(
    ("quant", "at", "kind"), [("F16", 64, "diverged"), ("Q4_0", 64, "late divergence"), ("Q4_0", 3, "diverged")]
)
def test_a_divergence_counts_as_late_only_on_quantised_weights(quant: str, at: int, kind: str) -> None:
    found = judge(ids(at), ids(), ids(at + 1), quant=quant)
    assert (found.kind, found.first, found.diverged, found.judged) == (kind, at, 2, 3)


def test_a_gap_that_was_not_recorded_proves_no_tie() -> None:
    assert judge(ids(40), gaps=(0.0,) * 40).kind == "diverged"


def test_a_shorter_output_differs_where_it_ends() -> None:
    assert judge(ids(length=90)).first == 90


def test_sampled_output_and_output_without_ids_are_not_judged() -> None:
    assert judge(ids(3), temperature=0.8).kind == "not judged"
    assert judge(None).kind == "not judged"


def beside(controls: list[int | None], outputs: list[int | None], *, quant: str = "F16") -> Lossless:
    """A method beside a baseline whose controls differ from it: tokens at which each does, from 0; None: equal."""

    def text(at: int | None) -> tuple[int, ...]:
        return ids() if at is None else ids(at)

    base = [generation("base", f"code-{i}") for i in range(max(len(controls), len(outputs)))]
    again = [generation("base", f"code-{i}", role="control", output_ids=text(at)) for i, at in enumerate(controls)]
    tried = [drafted(f"code-{i}", output_ids=text(at)) for i, at in enumerate(outputs)]
    floor = lossless.floor([*base, *again])
    return lossless.judge(tried, lossless.references(base, again), quant=quant, here=floor, everywhere=floor)


def test_a_method_is_not_blamed_when_the_baseline_differs_from_itself() -> None:
    base = [generation("base", "code-0", output_ids=ids()), generation("base", "code-1", output_ids=ids())]
    control = [
        generation("base", "code-0", role="control", output_ids=ids(50)),
        generation("base", "code-1", role="control"),
    ]
    floor = lossless.floor(base + control)
    assert floor == (2, 1, 50)
    assert lossless.of_baseline(floor).kind == "engine not deterministic"
    reference = lossless.references(base, control)
    found = lossless.judge(
        [drafted("code-1", output_ids=ids(50))], reference, quant="F16", here=floor, everywhere=floor
    )
    assert found.kind == "engine not deterministic"
    assert lossless.judge([drafted("code-1")], reference, quant="F16", here=floor, everywhere=floor).kind == "identical"


@pytest.mark.parametrize("quant", ["F16", "Q4_0"])
def test_controls_that_differ_late_excuse_no_garbage_from_the_first_token_on(quant: str) -> None:
    found = beside([95, 95, 95, None, None, None], [0] * 6, quant=quant)
    assert (found.kind, found.first) == ("diverged", 0)
    assert beside([95, 95, 95, None, None, None], [95, None, None, 97, None, None], quant=quant).kind == (
        "engine not deterministic"
    )


def test_divergences_before_those_of_the_controls_are_the_engines_as_far_as_chance_brings_them_about() -> None:
    controls = [90, 60, 70, None, None, None]
    assert beside(controls, [None, 55, None, 80, None, None]).kind == "engine not deterministic"
    assert beside(controls, [55] * 5 + [None]).kind == "engine not deterministic"  # 1 in 56
    assert beside(controls, [55] * 6).kind == "diverged"  # 1 in 84
    assert beside(controls, [0] * 6).kind == "diverged"


def test_the_controls_of_a_cell_tell_how_many_may_differ_and_those_of_the_run_how_early() -> None:
    base = [generation("base", f"code-{i}") for i in range(6)]
    here, everywhere = lossless.Floor(6, 3, 95), lossless.Floor(42, 4, 10)

    def of(*at: int) -> str:
        tried = [drafted(f"code-{i}", output_ids=ids(*at[i : i + 1])) for i in range(6)]
        return lossless.judge(tried, lossless.references(base, ()), quant="F16", here=here, everywhere=everywhere).kind

    assert of(40, 97, 99) == "engine not deterministic"
    assert of(10) == "engine not deterministic"
    assert of(9) == "engine not deterministic"  # the earliest of all is the method's by chance
    assert of(0, 0, 0, 0, 0, 0) == "diverged"
    here, everywhere = lossless.Floor(6, 0, None), lossless.Floor(24, 12, 0)
    assert of(0, 0, 0, 0, 0, 0) == "diverged"  # the engine repeats itself here, whatever it does elsewhere
    assert of(*[40] * 6) == "diverged"  # too many before the controls of the cell


def test_categories_merge_into_one_judgement() -> None:
    merged = lossless.merge([judge(ids()), judge(ids(30), ids(9))])
    assert merged is not None
    assert (merged.judged, merged.diverged, merged.first, merged.kind) == (3, 2, 9, "diverged")
    assert lossless.merge([]) is None


def test_a_long_run_is_judged_without_overflow() -> None:
    """The controls differ at the rate of one in fifty, as a hundred of the outputs do."""
    base, floor = [generation("base", "code-0")], lossless.Floor(200, 4, 50)

    def of(differing: int, at: int) -> Lossless:
        tried = [drafted("code-0")] * (5000 - differing) + [drafted("code-0", output_ids=ids(at))] * differing
        return lossless.judge(tried, lossless.references(base, ()), quant="F16", here=floor, everywhere=floor)

    assert of(100, 50).kind == "engine not deterministic"
    assert of(2000, 50).kind == "diverged"
