import tomllib

import pytest

from specbench.errors import InputError
from specbench.planning.runfile import RunFile, validate_runfile

TARGET = 'targets = [{ model = "a.gguf" }]\n'


def load_runfile(text: str) -> RunFile:
    return validate_runfile(tomllib.loads(text))


def test_a_methods_table_names_methods_and_their_settings() -> None:
    found = load_runfile(TARGET + "[methods.draft-model]\ndraft_tokens_max = [2, 4]\n[methods.ngram-mod]\n")
    assert found.methods == ("draft-model", "ngram-mod")
    assert found.method_settings == {"draft-model": {"draft_tokens_max": (2, 4)}, "ngram-mod": {}}


def test_flags_say_the_same_as_a_table() -> None:
    flags = {
        "targets": [{"model": "a.gguf"}],
        "methods": ["draft-model"],
        "method_settings": {"draft-model": {"draft_tokens_max": 4}},
    }
    assert validate_runfile(flags) == load_runfile(TARGET + "[methods.draft-model]\ndraft_tokens_max = 4\n")


def test_one_value_or_a_list_of_values_is_accepted_for_fill_and_temperatures() -> None:
    found = load_runfile(TARGET + "fill = 4096\ntemperatures = 0\n")
    assert (found.fill, found.temperatures) == ((4096,), (0.0,))


def test_a_budget_is_seconds_or_a_duration() -> None:
    assert load_runfile(TARGET + 'budget = "1h30m"\n').budget == load_runfile(TARGET + "budget = 5400\n").budget == 5400


def test_all_wrong_keys_and_values_are_reported_at_once() -> None:
    with pytest.raises(InputError) as caught:
        load_runfile('temperture = 1\nfil = 3\nrepeats = 0\nbudget = "soon"\ntargets = [{ modl = "a" }]\n')
    message = caught.value.message
    for part in (
        "unknown key 'temperture': did you mean 'temperatures'?",
        "unknown key 'fil': did you mean 'fill'?",
        "repeats: ",
        "budget: 'soon' is not a duration",
        "'targets[1].model' is missing",
        "unknown key 'targets[1].modl': did you mean 'model'?",
    ):
        assert part in message


@pytest.mark.parametrize(
    "text",
    [
        "",
        'url = "http://x"\ntargets = [{ model = "a" }, { model = "b" }]',
        'url = "nonsense://localhost"',
        TARGET + "temperatures = [0, 0]",
        TARGET + "temperatures = [-1]",
        TARGET + "temperatures = [nan]",
        TARGET + "temperatures = []",
        TARGET + "methods = []",
        TARGET + "engine_settings = { threads = [] }",
        TARGET + "engine_settings = { threads = [1, 0] }",
        TARGET + 'engine_settings = { threads = "abc" }',
        TARGET + "methods.draft-model.draft_tokens_max = 0",
        TARGET + 'methods."ngram-mod+draft-model".draft-model.draft_tokens_max = true',
    ],
)
def test_a_run_file_that_cannot_be_carried_out_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        load_runfile(text)


def test_the_engine_follows_from_what_is_given() -> None:
    assert load_runfile(TARGET).engine_name == "xllamacpp"
    assert load_runfile('url = "http://localhost:8080"').engine_name == "attach"
    assert load_runfile(TARGET + 'engine_path = "bin/llama-server"').engine_name == "llama-server"
