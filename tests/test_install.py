"""The wheel holds the data, and works from another folder in a fresh environment."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    argv = [sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT]
    subprocess.run(argv, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.mark.engine
def test_the_wheel_carries_every_data_folder(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "specbench/data/suites/core/suite.toml",
        "specbench/data/suites/core/passages.toml",
        "specbench/data/hardware_profiles/README.md",
        "specbench/data/micro/run.toml",
        "specbench/data/micro/weights/target-q8_0.gguf",
        "specbench/data/micro/weights/draft-q8_0.gguf",
        "specbench/data/micro/CARD.md",
        "specbench/data/results/published/README.md",
        "specbench/data/prices/example.toml",
        "specbench/data/results/published/tables/mtp-quants.toml",
        "specbench/engines/profiles/llama-server.toml",
        "specbench/py.typed",
    ):
        assert wanted in names
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests")]


@pytest.mark.engine
@pytest.mark.timeout(900)
def test_a_fresh_environment_runs_the_wheel_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    scripts = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    subprocess.run([scripts / "python", "-m", "pip", "install", "--quiet", wheel], check=True, capture_output=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    words = ["run", "--methods", "draft-model", "-c", "code", "--prompts", "1", "-o", "24", "--temperature", "0"]
    result = subprocess.run([scripts / "specbench", *words], cwd=elsewhere, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "draft-model" in result.stdout
    assert list((elsewhere / "results").iterdir())
