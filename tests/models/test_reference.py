import subprocess
import sys
from pathlib import Path

import pytest
import tiny_models as tiny

from specbench.errors import InputError, UnavailableError
from specbench.models import reference
from specbench.models.reference import _chosen

ROOT = Path(__file__).resolve().parents[2]
REPO = "own-org/Some-Model-GGUF"


def cached(home: Path, *names: str) -> Path:
    """Hugging Face's cache, as its library lays it out: the files are links into `blobs`."""
    folder = home / ".cache" / "huggingface" / "hub" / f"models--{REPO.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0f3a")
    for number, name in enumerate(names):
        blob = tiny.write(folder / "blobs" / str(number))
        file = folder / "snapshots" / "0f3a" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(blob)
    return folder / "snapshots" / "0f3a"


def find(name: str, home: Path) -> Path:
    return reference.find(name, environment={}, home=home)


def test_a_quant_or_a_file_of_a_repository_is_found_in_the_cache(tmp_path: Path) -> None:
    names = ("Some-Model-Q4_K_M.gguf", "Some-Model-IQ4_K_M-x.gguf", "Some-Model-Q8_0.gguf", "MTP/Some-Model-Q8_0.gguf")
    here = cached(tmp_path, *names, "mmproj-Q8_0.gguf", "BF16/m-00001-of-00002.gguf", "BF16/m-00002-of-00002.gguf")
    assert find(f"{REPO}:Q4_K_M", tmp_path) == here / names[0]
    assert find(f"{REPO}:q8_0", tmp_path) == here / names[2]
    assert find(f"{REPO}:BF16", tmp_path) == here / "BF16/m-00001-of-00002.gguf"
    assert find(f"{REPO}/MTP/Some-Model-Q8_0.gguf", tmp_path) == here / names[3]


def test_paths_stay_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.write(tmp_path / "a" / "b" / "c.gguf")
    for name in ("a/b/c.gguf", "a/b/missing.gguf", "missing.gguf", str(tmp_path / "x.gguf")):
        assert find(name, tmp_path) == tmp_path / name


def test_a_named_quant_is_a_word_of_the_name() -> None:
    files = ["m-UD-Q4_K_XL.gguf", "m-Q4_K_S.gguf", "m-Q4_0.gguf", "m-00002-of-00002.gguf"]
    assert _chosen(files, None, "Q4_K_XL") == "m-UD-Q4_K_XL.gguf"
    assert _chosen(files, None, "UD-Q4_K_XL") == "m-UD-Q4_K_XL.gguf"
    assert _chosen(files, None, "Q4") is None
    assert _chosen(files, "n.gguf", None) is None


def test_without_a_network_the_command_that_downloads_it_is_told(tmp_path: Path) -> None:
    """In a fresh process: the library reads HF_HUB_OFFLINE when it is loaded."""
    argv = [sys.executable, "-m", "specbench", "inspect", f"{REPO}:Q4_K_M"]
    environment = {"HF_HUB_OFFLINE": "1", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    result = subprocess.run(argv, check=False, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert result.returncode == 3, result.stderr
    assert f"{REPO}:Q4_K_M is not in the Hugging Face cache" in result.stderr
    assert f"hf download {REPO}" in result.stderr
    assert "Traceback" not in result.stderr


def test_without_the_package_its_installation_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UnavailableError) as caught:
        find(f"{REPO}:Q4_K_M", tmp_path)
    assert "specbench[hub]" in caught.value.hint


def test_a_repository_without_the_quant_names_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.list_repo_files", lambda _: ["m-Q8_0.gguf", "README.md"])
    with pytest.raises(InputError, match="has no GGUF for Q4_K_M") as caught:
        find(f"{REPO}:Q4_K_M", tmp_path)
    assert caught.value.hint == "its files: m-Q8_0.gguf"
