from collections import Counter, defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specbench.engines.profile import Profile, parse_profile
from specbench.errors import InputError
from specbench.models.facts import ModelFacts
from specbench.planning.plan import make_plan
from specbench.planning.runfile import validate_runfile
from specbench.planning.suites import Suite, parse_suite
from specbench.records import Plan, Trial
from specbench.structs import from_json, replace, to_json

ENGINE = """
kind = "server"
executable = "own-server"
argv = ["-m", "$target_model", "--port", "$port"]
[settings]
threads = ["-t", "$threads"]
context_size = ["-c", "$context_size"]
[methods.none]
[methods.draft-model]
argv = ["-md", "$draft_model"]
needs = "draft-model"
defaults = { draft_tokens_max = 4 }
settings = { draft_tokens_max = ["-n", "$draft_tokens_max"], p_min = ["-p", "$p_min"] }
[methods.ngram-simple]
argv = ["--simple"]
[methods.ngram-mod]
argv = ["--mod"]
learns = true
"""
CATEGORIES = ("code", "json", "long")


def own_suite(count: int) -> Suite:
    files = {
        "suite.toml": 'name="own"\nversion="1"\nlicence="CC0-1.0"\ndescription="d"\n'
        f"categories={list(CATEGORIES)}".replace("'", '"'),
        "passages.toml": '[slots]\n[[document]]\ntitle = "t"\nframes = ["It was {time}."]\n',
    }
    for name in CATEGORIES:
        body = 'question = "q"\nneedles = ["n."]\nanswer = ["n"]' if name == "long" else 'user = "u"'
        extra = "\nconstrained = true\nschema = '{}'" if name == "json" else ""
        files[f"{name}.toml"] = f'category="{name}"\ndescription="d"\noutput_tokens=64\n' + "".join(
            f'[[prompt]]\nid = "{name}-{i}"\ntags = ["{"odd" if i % 2 else "even"}"]\n{body}{extra}\n'
            for i in range(count)
        )
    return parse_suite(files)


SUITES = {count: own_suite(count) for count in (1, 3, 4)}
PROFILES: dict[str, Profile] = {"own": parse_profile("own", ENGINE, bases={})}
PROFILES["attach"] = parse_profile("attach", 'extends = "own"\nkind = "attach"', bases={"own": ENGINE})


def facts(model: str, *, file_bytes: int = 10**6, context_length: int | None = 4096) -> ModelFacts:
    return ModelFacts(
        path=model,
        architecture="qwen3",
        name=None,
        parameters=10**6,
        file_bytes=file_bytes,
        quant="Q8_0",
        quantised=True,
        context_length=context_length,
        layers=2,
        vocabulary_size=100,
        vocabulary_sha256=None,
        tokenizer_model="gpt2",
        has_chat_template=True,
        nextn_layers=0,
    )


def plan(prompts: int = 3, *, known: dict[str, ModelFacts] | None = None, **asked: Any) -> Plan:
    asked = {"engine": "own", "targets": [{"model": "big.gguf", "drafters": "small.gguf"}], **asked}
    if known is None:
        known = {target["model"]: facts(target["model"]) for target in asked["targets"]}
    return make_plan(validate_runfile(asked), suite=SUITES[prompts], profiles=PROFILES, facts=known, version="0")


def trials(made: Plan, role: str = "measured") -> list[Trial]:
    return [trial for block in made.blocks for trial in block.trials if trial.role == role]


requests = st.fixed_dictionaries(
    {
        "prompts": st.sampled_from(sorted(SUITES)),
        "repeats": st.integers(1, 4),
        "warmups": st.integers(0, 2),
        "temperatures": st.sampled_from([[0], [0.8], [0, 0.8]]),
        "fill": st.sampled_from([[512], [256, 1024]]),
        "order": st.sampled_from([None, "by-category", "by-repeat"]),
        "prompts_per_category": st.sampled_from([None, 1, 2]),
        "targets": st.sampled_from(
            [
                [{"model": "big.gguf", "drafters": "small.gguf"}],
                [{"model": "a.gguf", "drafters": "small.gguf"}, {"model": "b.gguf", "drafters": "small.gguf"}],
            ]
        ),
        "seed": st.integers(0, 9),
    }
)
plans = requests.map(lambda asked: plan(**asked))
few = settings(max_examples=40, deadline=None)


@few
@given(requests)
def test_every_contender_gets_each_prompt_once_a_repeat_fill_and_temperature(asked: dict[str, Any]) -> None:
    made = plan(**asked)
    count = Counter((t.contender, t.prompt, t.temperature, t.fill) for t in trials(made))
    assert set(count.values()) == {asked["repeats"]}
    arms: dict[str, set[Any]] = defaultdict(set)
    for contender, *cell in count:
        arms[contender].add(tuple(cell))
    assert arms.keys() == {contender.name for contender in made.contenders}
    assert len({frozenset(cells) for cells in arms.values()}) == 1


@few
@given(plans)
def test_a_seed_depends_on_prompt_and_repeat_only(made: Plan) -> None:
    seeds: dict[tuple[str, int], set[int]] = defaultdict(set)
    for trial in [*trials(made), *trials(made, "control")]:
        seeds[trial.prompt, trial.repeat].add(trial.seed)
    assert all(len(found) == 1 for found in seeds.values())
    assert len({next(iter(found)) for found in seeds.values()}) == len(seeds)


@few
@given(plans)
def test_no_warm_up_prompt_is_measured_and_every_prompt_is_in_the_plan(made: Plan) -> None:
    measured = {t.prompt for t in trials(made)}
    assert not measured & {t.prompt for t in trials(made, "warm-up")}
    assert {t.prompt for block in made.blocks for t in block.trials} == {prompt.id for prompt in made.prompts}


@few
@given(plans)
def test_trial_ids_are_unique_and_a_block_has_one_contender(made: Plan) -> None:
    ids = [t.id for block in made.blocks for t in block.trials]
    assert len(ids) == len(set(ids))
    for index, block in enumerate(made.blocks):
        assert block.index == index
        assert {t.contender for t in block.trials} == {block.contender}


def test_with_slow_models_a_drafter_that_learns_takes_its_turn_at_every_place_too() -> None:
    made = plan(order="by-repeat", repeats=3, control=False, temperatures=[0.0])
    firsts = [next(b.contender for b in made.blocks if b.trials[-1].repeat == r) for r in range(3)]
    assert len(set(firsts)) == 3
    assert any(made.contender(name).learns for name in firsts)


@few
@given(plans)
def test_a_drafter_that_learns_sees_each_prompt_once_in_a_block(made: Plan) -> None:
    for block in made.blocks:
        if made.contender(block.contender).learns:
            prompts = [t.prompt for t in block.trials if t.role != "warm-up"]
            assert len(prompts) == len(set(prompts))
            assert len({t.temperature for t in block.trials}) == 1


@few
@given(requests)
def test_contenders_take_turns_at_every_place(asked: dict[str, Any]) -> None:
    made = plan(**{**asked, "order": "by-category"})
    names = [c.name for c in made.contenders]
    places: dict[str, Counter[int]] = {name: Counter() for name in names}
    rounds: dict[tuple[str, int], list[str]] = defaultdict(list)
    for block in made.blocks:
        first = block.trials[-1]
        turn = rounds[first.category, first.repeat]
        if first.role != "control" and block.contender not in turn:
            places[block.contender][len(turn)] += 1
            turn.append(block.contender)
    for counter in places.values():
        counts = [counter[place] for place in range(len(names))]
        assert max(counts) - min(counts) <= 1


@few
@given(plans)
def test_a_plan_survives_the_disk(made: Plan) -> None:
    assert from_json(Plan, to_json(made)) == made


def test_the_same_request_gives_the_same_plan() -> None:
    assert plan(repeats=2) == plan(repeats=2)


def test_a_sweep_is_one_contender_for_each_combination() -> None:
    made = plan(method_settings={"draft-model": {"draft_tokens_max": [4, 8], "p_min": 0.5}}, methods=["draft-model"])
    names = ["none", "draft-model draft_tokens_max=4", "draft-model draft_tokens_max=8"]
    assert [c.name for c in made.contenders] == names
    assert made.contenders[2].settings == {"draft_tokens_max": 8, "p_min": 0.5}
    assert made.contenders[2].argv[-4:] == ("-n", "8", "-p", "0.5")


def test_names_say_the_target_where_there_are_several() -> None:
    targets = [{"model": "x/a.gguf", "label": "micro"}, {"model": "x/b.gguf"}]
    made = plan(targets=targets, methods=["ngram-simple"])
    assert [c.name for c in made.contenders] == ["micro · none", "micro · ngram-simple", "b · none", "b · ngram-simple"]
    assert [c.baseline for c in made.contenders] == [None, "micro · none", None, "b · none"]


def test_defaults_of_a_method_are_recorded_and_the_draft_model_only_where_it_is_used() -> None:
    made = plan()
    assert made.contender("draft-model").settings == {"draft_tokens_max": 4}
    assert made.contender("draft-model").draft_model == "small.gguf"
    assert made.contender("none").draft_model is None
    assert made.contender("none").target_quant == "Q8_0"


def test_a_method_that_needs_a_draft_model_is_left_out_with_a_reason_unless_it_was_asked_for() -> None:
    targets = [{"model": "big.gguf"}]
    made = plan(targets=targets)
    assert "draft-model" not in {c.method for c in made.contenders}
    assert "draft model" in made.left_out["draft-model"]
    with pytest.raises(InputError, match="draft-model needs a draft model"):
        plan(targets=targets, methods=["draft-model"])


@pytest.mark.parametrize(
    ("asked", "suggestion"),
    [
        ({"methods": ["draft-modl"]}, "draft-model"),
        ({"method_settings": {"draft-modl": {}}}, "draft-model"),
        ({"method_settings": {"draft-model": {"draft_token_max": 3}}}, "draft_tokens_max"),
        ({"engine_settings": {"thread": 3}}, "threads"),
        ({"engine": "onw"}, "own"),
        ({"categories": ["cod"]}, "code"),
    ],
)
def test_an_unknown_name_is_refused_with_a_suggestion(asked: dict[str, Any], suggestion: str) -> None:
    with pytest.raises(InputError) as caught:
        plan(**asked)
    assert suggestion in caught.value.hint


def test_constrained_answers_always_stop_by_themselves() -> None:
    by_category = {t.category: t.ignore_eos for t in trials(plan())}
    assert by_category == {"code": True, "json": False, "long": True}
    assert not any(t.ignore_eos for t in trials(plan(ignore_eos=False)))


def test_the_control_is_the_baseline_again_greedy_in_a_later_block() -> None:
    made = plan(temperatures=[0, 0.8], repeats=2)
    controls = trials(made, "control")
    assert {(t.contender, t.temperature) for t in controls} == {("none", 0)}
    assert len({t.prompt for t in controls}) == len(controls) == 9
    assert made.blocks[-1].trials[-1].role == "control"
    assert trials(plan(temperatures=[0.8]), "control") == []
    assert trials(plan(control=False), "control") == []


def test_with_a_budget_a_category_has_its_control_before_the_next_begins() -> None:
    made = plan(temperatures=[0], repeats=2, budget=60)
    first = [b for b in made.blocks if b.trials[-1].repeat == 0]
    order = list(dict.fromkeys((b.trials[-1].category, b.trials[-1].role) for b in first))
    assert order == [(category, role) for category in CATEGORIES for role in ("measured", "control")]
    assert len(trials(made, "control")) == 9
    slow = plan(temperatures=[0], repeats=2, budget=60, order="by-repeat")
    roles = list(dict.fromkeys((b.trials[-1].repeat, b.trials[-1].role) for b in slow.blocks))
    assert roles == [(0, "measured"), (0, "control"), (1, "measured")]


def test_only_prompts_with_passages_have_a_fill() -> None:
    made = plan(fill=[256, 1024])
    assert {(t.category, t.fill) for t in trials(made)} == {
        ("code", None),
        ("json", None),
        ("long", 256),
        ("long", 1024),
    }
    assert made.passages_text is not None
    assert plan(categories=["code"]).passages_text is None


def test_a_large_target_is_loaded_once_for_each_repeat() -> None:
    made = plan(known={"big.gguf": facts("big.gguf", file_bytes=3 * 2**30)}, repeats=2, methods=["ngram-simple"])
    assert [b.contender for b in made.blocks] == ["none", "ngram-simple", "ngram-simple", "none", "none"]


def test_warm_ups_prefer_prompts_with_the_asked_tags() -> None:
    made = plan(4, categories=["code"], tags=["odd"], prompts_per_category=1)
    assert {t.prompt for t in trials(made, "warm-up")} == {"code-3"}
    assert {t.prompt for t in trials(plan(1, categories=["code"]), "warm-up")} == {"warm-up"}


@pytest.mark.parametrize(("fill", "size"), [(512, 2048), (2048, 2304), (3000, 3328), (4000, 4096)])
def test_the_context_is_the_smallest_step_that_holds_the_longest_trial(fill: int, size: int) -> None:
    assert {c.engine_settings["context_size"] for c in plan(fill=fill).contenders} == {size}


def test_a_trial_longer_than_the_models_context_is_refused() -> None:
    with pytest.raises(InputError, match="more than the 4096"):
        plan(fill=4096)
    with pytest.raises(InputError, match="more than the 1024 asked for"):
        plan(fill=1024, engine_settings={"context_size": 1024})
    with pytest.raises(InputError, match="trained for 4096"):
        plan(engine_settings={"context_size": 8192})
    assert plan(fill=100_000, known={}).contenders[0].engine_settings["context_size"] == 100_352


def test_a_server_that_runs_has_one_contender_without_a_baseline() -> None:
    server = {"engine": "attach", "url": "http://localhost:1", "targets": [], "known": {}}
    made = plan(**server, methods=["ngram-mod"])
    assert [(c.name, c.baseline, c.argv) for c in made.contenders] == [("ngram-mod", None, ())]
    assert [c.name for c in plan(**server).contenders] == ["none"]
    with pytest.raises(InputError, match="one method"):
        plan(**server, methods=["none", "ngram-mod"])
    with pytest.raises(InputError, match="takes no url"):
        plan(url="http://localhost:1")


def test_a_target_may_have_temperatures_of_its_own() -> None:
    targets = [{"model": "a.gguf"}, {"model": "b.gguf", "temperatures": 0.8}]
    made = plan(targets=targets, temperatures=[0.0, 0.8])
    seen: dict[str, set[float]] = {}
    for trial in (t for block in made.blocks for t in block.trials):
        seen.setdefault(trial.contender.partition(" ")[0], set()).add(trial.temperature)
    assert seen == {"a": {0.0, 0.8}, "b": {0.8}}


def test_temperatures_belong_to_the_target_and_not_to_its_file() -> None:
    targets = [{"model": "a.gguf", "label": "x", "temperatures": 0}, {"model": "a.gguf", "label": "y"}]
    made = plan(targets=targets, temperatures=[0.8], control=False)
    seen = {(t.contender[0], t.temperature) for block in made.blocks for t in block.trials}
    assert seen == {("x", 0.0), ("y", 0.8)}


def test_engines_share_what_each_of_them_knows_and_read_their_own_format() -> None:
    folders = parse_profile(
        "folders",
        'kind = "server"\nexecutable = "f"\nreads = "safetensors"\nargv = ["$target_model", "$port"]\n'
        '[settings]\ndtype = ["-d", "$dtype"]\n[methods.none]\n[methods.other]\nargv = ["--other"]\n',
        bases={},
    )
    known = {"a.gguf": facts("a.gguf"), "a": replace(facts("a"), format="safetensors")}
    asked: dict[str, Any] = {
        "targets": [{"model": "a.gguf", "label": "a"}, {"model": "a"}],
        "engine": ["own", "folders=/opt/f"],
        "methods": ["none", "ngram-simple", "other"],
        "engine_settings": {"threads": 2, "dtype": "f32"},
    }

    def made(**more: Any) -> Plan:
        profiles = {**PROFILES, "folders": folders}
        runfile = validate_runfile({**asked, **more})
        return make_plan(runfile, suite=SUITES[1], profiles=profiles, facts=known, version="0")

    found = made().contenders
    assert [(c.name, c.target_model, c.executable) for c in found] == [
        ("own · none", "a.gguf", "own-server"),
        ("own · ngram-simple", "a.gguf", "own-server"),
        ("folders · none", "a", "/opt/f"),
        ("folders · other", "a", "/opt/f"),
    ]
    assert [c.engine_settings.get("dtype") for c in found] == [None, None, "f32", "f32"]
    for wrong, text in (
        ({"methods": ["none", "ngram-simpel"]}, "ngram-simpel"),
        ({"engine_settings": {"dtyp": 1}}, "dtyp"),
        ({"targets": [{"model": "a.gguf"}]}, "folders reads a folder"),
        ({"engine": ["own", "own=x"]}, "twice"),
        ({"engine_path": "x"}, "NAME=PROGRAM"),
    ):
        with pytest.raises(InputError, match=text):
            made(**wrong)


def test_an_engine_that_drafts_with_one_sampling_only_gives_it_to_all_contenders() -> None:
    picky = parse_profile("picky", 'extends = "own"\nsampling = { min_p = 0, top_k = 20 }', bases={"own": ENGINE})
    profiles = {**PROFILES, "picky": picky}

    def sampled(**more: Any) -> float:
        runfile = validate_runfile({"engine": "picky", "targets": [{"model": "big.gguf"}], **more})
        made = make_plan(
            runfile, suite=SUITES[1], profiles=profiles, facts={"big.gguf": facts("big.gguf")}, version="1"
        )
        assert repr(made.sampling.top_k) in {"20", "40"}
        return made.sampling.min_p

    assert sampled() == 0
    assert sampled(temperatures=[0]) == sampled(methods=["none"]) == 0.05
    assert sampled(sampling={"min_p": 0, "top_k": 20}) == 0
    with pytest.raises(InputError, match="picky drafts above temperature 0 only with min_p = 0"):
        sampled(sampling={"top_k": 20})
