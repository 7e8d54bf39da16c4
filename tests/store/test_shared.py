"""Reading a run holds once what repeats in it, and changes nothing of it."""

from pathlib import Path

from specbench import store
from specbench.records import Block, Contender, DraftCounts, Generation, Machine, Plan, Setting, Trial
from specbench.structs import replace


def trial(name: str, prompt: str) -> Trial:
    return Trial(
        id=name,
        contender="none",
        category="code",
        prompt=prompt,
        role="measured",
        repeat=1000,
        temperature=0,
        seed=1000,
        output_tokens=4,
        ignore_eos=True,
    )


TRIALS = (trial("a", "one"), trial("b", "two"))
PLAN = Plan(
    specbench_version="0",
    name="own",
    suites={"own": "1"},
    contenders=(
        Contender(name="none", engine="own", kind="server", target_model="m.gguf", target_label="m", method="none"),
    ),
    prompts=(),
    blocks=(Block(index=0, contender="none", trials=TRIALS),),
)


def generation(of: Trial, order: int, ids: tuple[int, ...] | None, *, text: str = "a 'table': {}") -> Generation:
    return Generation(
        trial=of,
        block=0,
        order=order,
        started=float(order),
        text=text,
        output_ids=ids,
        prompt_sha256="0" * 64,
        prompt_tokens=5,
        cached_tokens=0,
        prefilled_tokens=5,
        output_tokens=4,
        counts=DraftCounts(emitted=4, sources={"emitted": "own"}),
        prefill_seconds=0.1,
        decode_seconds=0.2,
        first_token=0.1,
        last_token=0.3,
        total=0.3,
        stop_reason="length",
        observed={"top_k": 1, "penalty": True},
    )


def read(folder: Path, *written: Generation) -> tuple[store.Run, list[Generation]]:
    with store.create(folder, PLAN, Machine(system="Linux")) as opened:
        for g in written:
            opened.append(g)
    run = store.read(opened.path)
    assert not run.warnings
    return run, [r for r in run.results if isinstance(r, Generation)]


def test_what_repeats_is_the_same_object_and_equals_what_was_written(tmp_path: Path) -> None:
    written = [generation(TRIALS[0], 0, (70000, 5, 70000)), generation(TRIALS[1], 1, (5, 70000))]
    run, (one, other) = read(tmp_path, *written)
    assert [repr(one), repr(other)] == [repr(g) for g in written]
    assert [one.trial, other.trial] == list(TRIALS)
    assert one.trial is run.plan.blocks[0].trials[0]
    assert one.trial.repeat is other.trial.repeat
    assert one.text is other.text
    assert one.prompt_sha256 is other.prompt_sha256
    assert one.output_ids is not None
    assert other.output_ids is not None
    assert one.output_ids[0] is other.output_ids[1]
    assert one.counts.sources is other.counts.sources
    assert one.observed is other.observed


def test_outputs_of_one_token_and_of_none_stay_as_they_are(tmp_path: Path) -> None:
    trials = [replace(TRIALS[0], id=name) for name in "xyz"]
    ids = [None, (), (70000,)]
    _, found = read(tmp_path, *(generation(t, i, x) for i, (t, x) in enumerate(zip(trials, ids, strict=True))))
    assert [g.output_ids for g in found] == ids


def test_a_trial_that_is_not_the_plans_keeps_its_own_words(tmp_path: Path) -> None:
    """The same id with another seed: what ran is what counts."""
    _, (found,) = read(tmp_path, generation(replace(TRIALS[0], seed=7), 0, (1, 2)))
    assert found.trial.seed == 7


def test_tables_that_are_equal_to_python_but_not_in_json_stay_apart(tmp_path: Path) -> None:
    yes: dict[str, Setting] = {"penalty": True}
    one: dict[str, Setting] = {"penalty": 1}
    written = [replace(generation(TRIALS[0], 0, (1, 2)), observed=yes, text=repr(yes))]
    written.append(replace(generation(TRIALS[1], 1, (1, 2)), observed=one))
    _, found = read(tmp_path, *written)
    assert [repr(g) for g in found] == [repr(g) for g in written]
