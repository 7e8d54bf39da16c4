import pytest

from specbench.engines import catalog
from specbench.errors import InputError
from specbench.planning import probing
from specbench.planning.runfile import RunFile, Target

PROFILES = catalog.profiles(None)
RUNFILE = RunFile(targets=(Target(model="a.gguf"), Target(model="b.gguf")))


@pytest.mark.parametrize("engine", sorted(PROFILES))
def test_each_setting_is_swept_alone_over_methods_that_have_it_and_all_that_is_set_beside_it(engine: str) -> None:
    methods = PROFILES[engine].methods
    drafting = [name for name in methods if name != "none"]
    try:
        found = probing.runfiles(RUNFILE, PROFILES[engine], {"a": drafting, "b": []})
    except InputError:
        assert not any(probing.PROBES.keys() & method.settings.keys() for method in methods.values())
        return
    for runfile in found:
        assert [t.model for t in runfile.targets] == ["a.gguf"]
        assert set(runfile.targets[0].methods or ()) == runfile.method_settings.keys()
        swept = {key for s in runfile.method_settings.values() for key, values in s.items() if len(values) > 1}
        assert len(swept) == 1
        for method, settings in runfile.method_settings.items():
            assert settings.keys() <= methods[method].settings.keys()
            (pair,) = (values for values in settings.values() if len(values) > 1)
            assert pair[0] != pair[1]


def test_methods_without_a_setting_that_can_be_probed_are_refused() -> None:
    with pytest.raises(InputError, match="no setting that could be probed"):
        probing.runfiles(RUNFILE, PROFILES["llama-server"], {"a": ["ngram-cache"], "b": []})
