"""Every packaged profile against the flags of its engine.

tests/engines/help/NAME.txt is what `--help` prints (llama-server: llama.cpp 0c1e570, as it is), or says in line 1
how it was made by hand.
"""

import re
from pathlib import Path
from string import Template

import pytest
from engines.fake_engine import install

from specbench.engines import catalog
from specbench.engines.profile import Profile, command, flags_missing
from specbench.errors import InputError
from specbench.records import Contender, Setting

PROFILES = catalog.profiles(None)
SERVERS = [name for name, profile in PROFILES.items() if profile.kind == "server"]
STARTED = [*SERVERS, "xllamacpp"]
CASES = [(engine, method) for engine in STARTED for method in PROFILES[engine].methods]
NEWER = {"--spec-draft-sampling"}  # llama.cpp b11549 has it, 0c1e570 does not; xllamacpp runs it in the tests


def help_of(engine: str) -> str:
    folder = Path(__file__).with_name("help")
    text = (folder / f"{engine}.txt").read_text()
    return text + (folder / "llama-server.txt").read_text() if "adds to llama-server.txt" in text else text


def words(profile: Profile, method: str, *, settings: dict[str, Setting], engine: dict[str, Setting]) -> list[str]:
    argv, _ = command(
        profile,
        target_model="t.gguf",
        draft_model="d.gguf",
        method=method,
        settings=settings,
        engine_settings=engine,
        engine_args=(),
    )
    return list(argv)


def values(profile: Profile, method: str) -> tuple[dict[str, list[Setting]], dict[str, list[Setting]]]:
    """Two values for each setting of the method, and for each of the engine."""

    def two(table: dict[str, object]) -> dict[str, list[Setting]]:
        return {key: list(words)[:2] if isinstance(words, dict) else [7, 9] for key, words in table.items()}

    return two(profile.methods[method].settings), two(profile.settings)


def test_every_server_profile_has_the_help_of_its_engine() -> None:
    assert sorted(path.stem for path in Path(__file__).with_name("help").iterdir()) == sorted(SERVERS)


@pytest.mark.parametrize(("engine", "method"), CASES)
def test_a_method_makes_a_command_line_that_its_engine_knows(engine: str, method: str) -> None:
    profile = PROFILES[engine]
    own, shared = values(profile, method)
    for index in (0, 1):
        settings = {key: options[index] for key, options in own.items()}
        argv = words(
            profile, method, settings=settings, engine={key: options[index] for key, options in shared.items()}
        )
        assert {name for word in argv for name in Template(word).get_identifiers()} <= {"port"}
        assert "None" not in " ".join(argv)
        if engine in SERVERS:
            told = [re.sub(r"^(--[a-z-]+)\.\w+$", r"\1", word) for word in argv]  # vLLM: --speculative-config.KEY
            assert set(flags_missing(told, help_of(engine))) <= NEWER


@pytest.mark.parametrize(("engine", "method"), CASES)
def test_every_setting_changes_the_command_line(engine: str, method: str) -> None:
    profile = PROFILES[engine]
    own, shared = values(profile, method)
    for key, (one, other) in own.items():
        assert words(profile, method, settings={key: one}, engine={}) != words(
            profile, method, settings={key: other}, engine={}
        )
    for key, (one, other) in shared.items():
        if key != "port":  # filled in at the start
            assert words(profile, method, settings={}, engine={key: one}) != words(
                profile, method, settings={}, engine={key: other}
            )


@pytest.mark.parametrize("engine", STARTED)
def test_a_setting_that_the_engine_does_not_have_is_refused(engine: str) -> None:
    for settings, shared in (({"no_such": 1}, {}), ({}, {"no_such": 1})):
        with pytest.raises(InputError, match="no_such"):
            words(PROFILES[engine], "none", settings=settings, engine=shared)


@pytest.mark.parametrize(
    "engine",
    [n for n in STARTED if "parallel_slots" in PROFILES[n].settings and PROFILES[n].protocol == "llama.cpp"],
)
def test_there_is_one_slot_unless_another_number_replaces_it(engine: str) -> None:
    for asked, shown in (({}, "1"), ({"parallel_slots": 4}, "4")):
        argv = words(PROFILES[engine], "none", settings={}, engine=asked)
        given = [word for word in argv if word == "--parallel" or word.startswith("n_parallel=")]
        assert len(given) == 1
        assert (argv[argv.index("--parallel") + 1] if given == ["--parallel"] else given[0][11:]) == shown


@pytest.mark.parametrize("word", ["--parallel", "--metrics", "--verbosity=5"])
def test_a_word_of_the_users_does_not_repeat_one_of_the_profile(word: str) -> None:
    with pytest.raises(InputError, match=f"{word.partition('=')[0]} would be given twice"):
        command(
            PROFILES["llama-server"],
            target_model="t.gguf",
            draft_model=None,
            method="none",
            settings={},
            engine_settings={},
            engine_args=(word,),
        )


def build(tmp_path: Path, engine: str) -> Path:
    """A program whose --help is that of the engine."""
    program = install(tmp_path)
    (tmp_path / "help.txt").write_text(help_of(engine))
    program.write_text(f'#!/bin/sh\ncat "{tmp_path}/help.txt"\n')
    return program


@pytest.mark.parametrize(
    ("asked", "present", "method", "hint"),
    [
        ("llama-server", "gfx906", "draft-model", "this build has --draft-max: use --engine llama-server-2025"),
        (
            "llama-server",
            "turboquant",
            "ngram-simple",
            "this build has --spec-ngram-size-m: use --engine llama-server-2025",
        ),
        ("llama-server", "ik_llama", "draft-model", "this build has --model-draft: use --engine ik_llama"),
        (
            "llama-server-2025",
            "llama-server",
            "draft-model",
            "this build has --spec-draft-n-max: use --engine llama-server",
        ),
        ("beellama", "llama-server", "dflash", "use --engine llama-server"),
        ("llama-server", "gfx906", "eagle3", "use a newer build, or leave the setting out"),
    ],
)
def test_a_build_of_another_dialect_is_told_by_its_profile(
    tmp_path: Path, asked: str, present: str, method: str, hint: str
) -> None:
    program = build(tmp_path, present)
    profile = PROFILES[asked]
    contender = Contender(
        name="x",
        engine=asked,
        kind="server",
        target_model="t.gguf",
        target_label="t",
        draft_model="d.gguf",
        method=method,
        settings={"draft_tokens_max": 4} if method == "draft-model" else {},
        executable=str(program),
        argv=tuple(words(profile, method, settings={}, engine={})),
        help=profile.help,
    )
    skip = catalog.check_available(contender)
    assert skip is not None
    assert skip.reason.startswith("fake-server has no --")
    assert skip.hint.endswith(hint)


def test_flags_that_need_a_note_are_found_in_the_command_line() -> None:
    from specbench.engines.profile import doubts

    lucebox = PROFILES["lucebox"]
    lossy = words(lucebox, "none", settings={}, engine={"prefill_compression": "auto"})
    assert [code for code, _ in doubts(lucebox, lossy)] == ["LOSSY_PREFILL"]
    assert doubts(lucebox, words(lucebox, "none", settings={}, engine={"prefill_compression": "off"})) == ()
    for engine, unread in (
        ("llama-server", ["--spec-ngram-simple-min-hits", "3"]),
        ("llama-server", ["--spec-draft-p-split", "0.2"]),
        ("xllamacpp", ["speculative.ngram_simple.min_hits=3"]),
        ("xllamacpp", ["speculative.draft.p_split=0.2"]),
        ("llama-server", ["--spec-ngram-map-k-min-hits", "2"]),
        ("xllamacpp", ["speculative.ngram_map_k.min_hits=2"]),
    ):
        assert [code for code, _ in doubts(PROFILES[engine], unread)] == ["SETTING_IGNORED"]
