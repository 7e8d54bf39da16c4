from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specbench.engines import catalog
from specbench.engines.profile import command, effective_settings, find_method, flags_missing, parse_profile
from specbench.errors import InputError

HEADS = ["mtp", "eagle3", "dflash", "dspark"]
LOOK_UPS = ["ngram-simple", "ngram-map-k", "ngram-map-k4v", "ngram-mod", "ngram-cache"]
METHODS = ["none", "draft-model", *HEADS, *LOOK_UPS]
PACKAGED = catalog.profiles(None)
OWN = 'title = "x"\nkind = "server"\nargv = ["-m", "$target_model"]\n[methods.none]\n'


def argv(engine: str, method: str, **more: object) -> tuple[str, ...]:
    keywords: dict[str, object] = {
        "target_model": "t.gguf",
        "draft_model": "d.gguf",
        "settings": {},
        "engine_settings": {},
        "engine_args": (),
        **more,
    }
    return command(PACKAGED[engine], method=method, **keywords)[0]


@pytest.mark.parametrize("engine", ["llama-server", "xllamacpp", "attach"])
def test_every_engine_knows_the_methods(engine: str) -> None:
    profile = PACKAGED[engine]
    assert list(profile.methods) == METHODS
    learners = {name for name, method in profile.methods.items() if method.learns}
    assert learners == {"ngram-map-k", "ngram-map-k4v", "ngram-mod", "ngram-cache"}


@pytest.mark.parametrize("method", METHODS)
def test_the_type_is_always_passed(method: str) -> None:
    kind = {"draft-model": "draft-simple"}.get(method, f"draft-{method}" if method in HEADS else method)
    words = argv("llama-server", method)
    assert words[words.index("--spec-type") + 1] == kind
    assert f"speculative.types={kind}" in argv("xllamacpp", method)


def test_settings_and_extra_words_follow_in_order_and_the_port_stays_open() -> None:
    words = argv(
        "llama-server",
        "draft-model",
        settings={"draft_tokens_max": 8},
        engine_settings={"threads": 2, "flash_attention": "on"},
        engine_args=("--no-repack",),
    )
    assert words[:6] == ("--model", "t.gguf", "--host", "127.0.0.1", "--port", "$port")
    text = " ".join(words)
    assert "--threads 2 --threads-batch 2 --flash-attn on --spec-type draft-simple --spec-draft-model d.gguf" in text
    assert text.endswith("--spec-draft-n-max 8 --no-repack")


def test_a_port_of_the_users_is_filled_in() -> None:
    assert "port=8080" in argv("xllamacpp", "none", engine_settings={"port": 8080})


def test_a_value_that_is_a_choice_becomes_its_words() -> None:
    assert "flash_attn_type=disabled" in argv("xllamacpp", "none", engine_settings={"flash_attention": "off"})
    with pytest.raises(InputError) as caught:
        argv("xllamacpp", "none", engine_settings={"flash_attention": "of"})
    assert caught.value.hint == "did you mean off?"


def test_only_the_named_settings_become_words() -> None:
    words = argv("xllamacpp", "none")
    assert not [word for word in words if "n_ctx" in word or "threads" in word]


@pytest.mark.parametrize(
    ("method", "settings", "engine_settings", "hint"),
    [
        ("ngram-modd+mtp", {}, {}, "did you mean ngram-mod?"),
        ("ngram-mod+mtp", {"mtp.p_mim": 0.5}, {}, "did you mean mtp.p_min?"),
        ("none+mtp", {}, {}, "measure it by itself"),
        ("mtp+eagle3", {}, {}, "combine one with n-gram methods"),
        ("mtp+ngram-mod+ngram-simple", {}, {}, "write it as ngram-simple+ngram-mod+mtp"),
        ("ngram-mod+ngram-mod", {}, {}, "write it as ngram-mod"),
        ("draft-modle", {}, {}, "did you mean draft-model?"),
        ("draft-model", {"draft_token_max": 4}, {}, "did you mean draft_tokens_max?"),
        ("none", {}, {"thread": 4}, "did you mean threads?"),
        ("ngram-simple", {"p_min": 0.5}, {}, "known: ngram_draft_size, ngram_size"),
    ],
)
def test_an_unknown_name_is_answered_with_what_was_meant(
    method: str, settings: dict[str, object], engine_settings: dict[str, object], hint: str
) -> None:
    with pytest.raises(InputError) as caught:
        argv("llama-server", method, settings=settings, engine_settings=engine_settings)
    assert caught.value.hint == hint


def test_a_combination_passes_both_types_and_each_part_has_its_own_settings() -> None:
    settings = {"ngram-mod.draft_tokens_max": 16, "draft-model.p_min": 0.5}
    text = " ".join(argv("llama-server", "ngram-mod+draft-model", settings=settings))
    assert " --spec-type ngram-mod,draft-simple --spec-draft-model d.gguf " in text
    assert " --spec-ngram-mod-n-max 16 " in text
    assert " --spec-draft-n-max 4 " in text
    assert text.endswith(" --spec-draft-p-min 0.5")
    assert "speculative.types=ngram-mod,draft-mtp" in argv("xllamacpp", "ngram-mod+mtp")
    with pytest.raises(InputError, match="needs a drafter file"):
        argv("llama-server", "ngram-mod+eagle3", draft_model=None)


@pytest.mark.parametrize(
    ("name", "needs", "learns"),
    [
        ("ngram-mod+mtp", "mtp", True),
        ("ngram-simple+dspark", "dspark", False),
        ("ngram-simple+ngram-cache", None, True),
    ],
)
def test_a_combination_learns_and_needs_what_its_parts_do(name: str, needs: str | None, learns: bool) -> None:  # noqa: FBT001
    method = find_method(PACKAGED["llama-server"], name)
    assert (method.needs, method.learns) == (needs, learns)


@pytest.mark.parametrize("engine", ["llama-server", "xllamacpp"])
def test_methods_with_a_drafter_have_the_settings_that_the_engine_obeys(engine: str) -> None:
    common = {"draft_tokens_max", "draft_tokens_min", "p_min", "p_split", "draft_cache_type_k", "draft_cache_type_v"}
    common |= {"synthetic_rates", "synthetic_length"}
    place = {"draft_gpu_layers", "draft_device", "draft_threads", "draft_override_tensor"}
    place |= {"draft_cpu_moe_layers"} if engine == "llama-server" else set()
    expected = dict.fromkeys(("eagle3", "dflash", "dspark"), common | place)
    expected |= {"draft-model": common | place | {"draft_sampling"}, "mtp": common | {"draft_sampling"}}
    methods = PACKAGED[engine].methods
    assert {name: set(methods[name].settings) for name in expected} == expected


def test_a_method_that_needs_a_draft_model_says_so() -> None:
    with pytest.raises(InputError, match="needs a drafter file"):
        argv("llama-server", "draft-model", draft_model=None)


def test_defaults_are_part_of_the_effective_settings_but_not_for_an_attached_server() -> None:
    assert effective_settings(PACKAGED["xllamacpp"], "draft-model", {"p_min": 0.5}) == {
        "draft_tokens_max": 4,
        "p_min": 0.5,
    }
    assert effective_settings(PACKAGED["attach"], "draft-model", {"p_min": 0.5}) == {"p_min": 0.5}
    assert argv("attach", "draft-model", draft_model=None) == ()


def test_a_profile_of_the_users_extends_a_packaged_one(tmp_path: Path) -> None:
    (tmp_path / "fork.toml").write_text(
        'extends = "llama-server"\nexecutable = "fork"\n'
        '[methods.own]\nargv = ["--spec-type", "own"]\n[methods.draft-model]\ndefaults = { draft_tokens_max = 9 }\n'
    )
    fork = catalog.profiles(tmp_path)["fork"]
    assert (fork.name, fork.executable, fork.kind) == ("fork", "fork", "server")
    assert list(fork.methods) == [*METHODS, "own"]
    assert effective_settings(fork, "draft-model", {}) == {"draft_tokens_max": 9}
    assert fork.methods["draft-model"].needs == "draft-model"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (OWN + "argvs = []\n", r"methods\.none\.argvs"),
        (OWN.replace("$target_model", "$model"), r"unknown placeholder \$model"),
        (OWN + 'settings.a = ["$b"]\n', r"unknown placeholder \$b"),
        (OWN + "defaults = { a = 1 }\n", "unknown setting of none"),
        (OWN + 'type = "t"\n', "method none has a type, and the profile no types"),
        (OWN + 'argv = ["$types"]\n', r"unknown placeholder \$types"),
        ('extends = "attach"\n', "extends another"),
        ('extends = "lama-server"\n', "unknown engine profile"),
        ("kind = [", "not TOML"),
        (OWN.replace('"server"', '"docker"'), "kind"),
    ],
)
def test_a_faulty_profile_is_refused_with_its_name_and_fault(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(InputError, match=message):
        catalog.profiles(tmp_path)


def test_an_empty_engines_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no engine profile"):
        catalog.profiles(tmp_path)


HELP = """\
----- common params -----
-t,    --threads N                      number of CPU threads (default: -1)
--spec-draft-p-min, --draft-p-min P     minimum probability, see also
                                        --not-a-definition
--draft, --draft-n, --draft-max N       the argument has been removed. use --spec-draft-n-max or
                                        --spec-ngram-mod-n-max
--spec-draft-n-min N
                                        minimum number of draft tokens
"""


def test_flags_are_looked_up_in_the_help_and_removed_ones_are_missing() -> None:
    assert flags_missing(["-t", "-1", "--threads=2", "--draft-p-min", "0.5", "--spec-draft-n-min", "x-y"], HELP) == ()
    assert flags_missing(["--draft-max", "8", "--draft-n-min", "1"], HELP) == ("--draft-max", "--draft-n-min")


@given(st.text(max_size=30))
def test_values_are_put_in_as_they_are(path: str) -> None:
    words = argv("llama-server", "none", target_model=path)
    assert words[words.index("--model") + 1] == path


def test_a_packaged_profile_can_be_parsed_alone() -> None:
    assert parse_profile("x", OWN, bases={}).title == "x"
