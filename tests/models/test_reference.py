import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


def test_a_path_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not UTF-8"):
        reference.find("a\udcff.gguf", environment={}, home=tmp_path)


def test_a_named_quant_is_a_word_of_the_name() -> None:
    files = ["m-UD-Q4_K_XL.gguf", "m-Q4_K_S.gguf", "m-Q4_0.gguf", "m-00002-of-00002.gguf"]
    assert _chosen(files, None, "Q4_K_XL") == "m-UD-Q4_K_XL.gguf"
    assert _chosen(files, None, "UD-Q4_K_XL") == "m-UD-Q4_K_XL.gguf"
    assert _chosen(files, None, "Q4") is None
    assert _chosen(files, "n.gguf", None) is None


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    """The address of a server that answers as Hugging Face does, with one repository of two files."""
    files = {f"Some-Model-{quant}.gguf": tiny.write(tmp_path / "hub" / quant).read_bytes() for quant in ("Q8_0", "F16")}

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer()

        def do_HEAD(self) -> None:
            self.answer()

        def answer(self) -> None:
            path, name = self.path.partition("?")[0], self.path.rpartition("/")[2]
            if path.startswith(f"/api/models/{REPO}/tree/"):
                body = json.dumps([{"type": "file", "path": n, "size": 1, "oid": n} for n in files]).encode()
            elif path.startswith(f"/{REPO}/resolve/") and name in files:
                body = files[name]
            else:
                self.send_response(404)
                self.send_header("X-Error-Code", "RepoNotFound")
                self.end_headers()
                return
            self.send_response(200)
            for key, value in {"X-Repo-Commit": "0f3a" * 10, "ETag": f'"{name}"', "Content-Length": len(body)}.items():
                self.send_header(key, str(value))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def inspect(name: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """In a fresh process: the library reads its environment when it is loaded."""
    argv = [sys.executable, "-m", "specbench", "inspect", name, "--json"]
    environment |= {"HOME": str(home), "PYTHONPATH": str(ROOT)}
    return subprocess.run(argv, check=False, capture_output=True, text=True, env=environment, cwd=home)


def test_what_is_not_in_the_cache_is_downloaded_once(hub: str, tmp_path: Path) -> None:
    first = inspect(f"{REPO}:Q8_0", tmp_path, HF_ENDPOINT=hub)
    assert first.returncode == 0, first.stderr
    facts = json.loads(first.stdout)["facts"]
    assert facts["path"].endswith(f"snapshots/{'0f3a' * 10}/Some-Model-Q8_0.gguf")
    again = inspect(f"{REPO}:Q8_0", tmp_path, HF_HUB_OFFLINE="1")
    assert json.loads(again.stdout)["facts"] == facts


def test_what_the_hub_does_not_have_is_said(hub: str, tmp_path: Path) -> None:
    quant = inspect(f"{REPO}:Q2_K", tmp_path, HF_ENDPOINT=hub)
    assert (quant.returncode, quant.stdout) == (2, "")
    assert f"{REPO} has no GGUF for Q2_K" in quant.stderr
    assert "its files: Some-Model-F16.gguf, Some-Model-Q8_0.gguf" in quant.stderr
    repository = inspect("own-org/none:Q2_K", tmp_path, HF_ENDPOINT=hub)
    assert repository.returncode == 2, repository.stderr
    assert "no such repository on Hugging Face" in repository.stderr


@pytest.mark.parametrize("environment", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_without_a_network_the_command_that_downloads_it_is_told(tmp_path: Path, environment: dict[str, str]) -> None:
    result = inspect(f"{REPO}:Q4_K_M", tmp_path, **environment)
    assert result.returncode == 3, result.stderr
    assert f"{REPO}:Q4_K_M is not in the Hugging Face cache" in result.stderr
    assert f"hf download {REPO}" in result.stderr
    assert "Traceback" not in result.stderr


def test_without_the_package_its_installation_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UnavailableError) as caught:
        find(f"{REPO}:Q4_K_M", tmp_path)
    assert "specbench[hub]" in caught.value.hint
