"""Installing an engine by its recipe, with a recipe that costs nothing."""

import sys
from pathlib import Path

import pytest

from specbench.engines import recipes
from specbench.engines.recipes import Recipe
from specbench.errors import InputError, UnavailableError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the recipe's script writes a POSIX program")
GOOD = "import sys, pathlib; pathlib.Path(sys.prefix, 'bin', 'own-engine').write_text('hello')"


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The script of the recipe `own`."""
    script = tmp_path / "install_own.py"
    monkeypatch.setenv("SPECBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(recipes.RECIPES, "own", Recipe(str(script), "own-engine", "nothing"))
    return script


def test_a_recipe_makes_an_environment_whose_program_is_then_found(recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(GOOD)
    assert recipes.installed("own-engine") is None
    program = recipes.install("own")
    assert program == tmp_path / "cache" / "engines" / "own" / "bin" / "own-engine" == recipes.installed("own-engine")
    assert recipes.installed("another") is None


def test_a_recipe_that_breaks_off_has_installed_nothing_and_can_be_repeated(recipe: Path) -> None:
    recipe.write_text(GOOD + "; sys.exit(1)")
    with pytest.raises(UnavailableError, match="own could not be installed"):
        recipes.install("own")
    assert recipes.installed("own-engine") is None
    recipe.write_text(GOOD)
    assert recipes.install("own").exists()


def test_an_unknown_recipe_is_named() -> None:
    with pytest.raises(InputError, match="no recipe for 'vllm'"):
        recipes.find("vllm")
