"""Wrong input gets one line what and one line what to do, the right exit status, and no traceback."""

import errno
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from specbench import datafiles
from specbench.__main__ import main
from specbench.cli import flags

TARGET = datafiles.path("micro/weights/target-q8_0.gguf")
DRAFT = datafiles.path("micro/weights/draft-q8_0.gguf")


def specbench(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "specbench", *map(str, words)]
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path, known_answer_models: object) -> Path:
    (tmp_path / "target.gguf").symlink_to(TARGET)
    (tmp_path / "draft.gguf").symlink_to(DRAFT)
    (tmp_path / "truncated.gguf").write_bytes(TARGET.read_bytes()[:1_000_000])
    (tmp_path / "headless.gguf").write_bytes(TARGET.read_bytes()[:100])
    (tmp_path / "text.gguf").write_text("this is no model\n")
    (tmp_path / "pointer.gguf").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    (tmp_path / "empty.gguf").touch()
    (tmp_path / "other.gguf").symlink_to(known_answer_models.draft)  # type: ignore[attr-defined]
    (tmp_path / "file").touch()
    (tmp_path / "keys.toml").write_text('temperatur = [0]\nbudgett = "5m"\n[[targets]]\nmodel = "micro"\ndraft = "x"\n')
    (tmp_path / "broken.toml").write_text("targets = [\n")
    (tmp_path / "not-executable").touch()
    return tmp_path


QUICK = ("--no-discover", "--tags", "smoke", "--prompts", "1", "-o", "8", "-c", "code")


@pytest.mark.parametrize(
    ("words", "status", "says", "advises"),
    [
        (["--model", "missing.gguf"], 2, "missing.gguf", ""),
        (["--model", "truncated.gguf"], 2, "truncated", ""),
        (["--model", "headless.gguf"], 2, "headless.gguf", ""),
        (["--model", "text.gguf"], 2, "not a GGUF", ""),
        (["--model", "pointer.gguf"], 2, "is a Git LFS pointer, not the model", "git lfs pull"),
        (["--model", "empty.gguf"], 2, "empty.gguf", ""),
        (["--model", "target.gguf", "--draft-model", "other.gguf"], 2, "vocabular", "same tokenizer"),
        (["--draft-model", "draft.gguf"], 2, "--draft-model without --model", "--model"),
        (["--model", "target.gguf", "--methods", "draft-model"], 2, "needs a draft model", "--draft-model"),
        (["--methods", "ngram-simpel"], 2, "ngram-simpel", "did you mean ngram-simple"),
        (["--categories", "cod"], 2, "cod", "did you mean 'code'"),
        (["--engine", "llama-sever"], 2, "llama-sever", "did you mean llama-server"),
        (["--suite", "cor"], 2, "cor", "core"),
        (["--tags", "smok"], 2, "smok", "did you mean 'smoke'"),
        (["--set", "draft-model.draft_token_max=4"], 2, "draft_token_max", "did you mean draft_tokens_max"),
        (["--set", "draft_tokens_max=4"], 2, "not METHOD.KEY=VALUE", "draft-model.draft_tokens_max"),
        (["--engine-set", "thread=4"], 2, "thread", "did you mean threads"),
        (["--engine-set", "threads"], 2, "not KEY=VALUE", "threads=8"),
        (["--sweep", "thread=1,2"], 2, "thread", "did you mean threads"),
        (["--sweep", "draft-model.draft_tokens_max=4,4"], 2, "draft_tokens_max is given a value twice", "once"),
        (["--sweep", "threads"], 2, "not KEY=VALUE,VALUE", "draft-model.draft_tokens_max=1,2,4"),
        (["--sweep", "threads=1,2", "--repeats", "200"], 2, " trials, ", "--yes"),
        (["--fill", "nan"], 2, "'nan' is not a number", ""),
        (["--temperature", "warm"], 2, "'warm' is not a number", ""),
        (["--temperature", "-1"], 2, "temperatures", ""),
        (["--budget", "soon"], 2, "soon", "5m"),
        (["--output-tokens", "0"], 2, "output_tokens", ""),
        (["--fill", "128k", "--categories", "rag-long"], 2, "context", "--fill"),
        (["--resume", "nowhere"], 2, "nowhere", "specbench runs"),
        (["--results", "file"], 2, "file", "--results"),
        (["nowhere.toml"], 2, "nowhere.toml", ""),
        (["broken.toml"], 2, "broken.toml", ""),
        (["keys.toml"], 2, "temperatur", "specbench run --help"),
        (["--engine", "llama-server", "--engine-path", "missing-server"], 3, "missing-server", "--engine-path"),
        (["--engine", "llama-server", "--engine-path", "not-executable"], 3, "not-executable", ""),
        (["--url", "http://127.0.0.1:9"], 3, "127.0.0.1:9", ""),
        (["--url", "nonsense://x"], 2, "nonsense://x", "http://"),
    ],
)
def test_wrong_words_are_explained(folder: Path, words: list[str], status: int, says: str, advises: str) -> None:
    result = specbench("run", *QUICK, *words, cwd=folder)
    assert result.returncode == status, result.stderr
    assert says in result.stderr
    assert advises in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    "words",
    [
        ["run", "-m"],
        ["run", "--suite"],
        ["report"],
        ["runs", "verify"],
        ["predict", "-m"],
        ["runs", "list", "--results"],
    ],
)
def test_a_name_that_no_file_can_have_is_told(tmp_path: Path, words: list[str]) -> None:
    done = specbench(*words, "x" * 5000, cwd=tmp_path)
    assert done.returncode == 2
    assert "error: File name too long: " in done.stderr
    assert "\n  fix: check the path" in done.stderr
    assert len(done.stderr) < 400


@pytest.mark.parametrize("key", ["url", "engine_path", "suite", "name"])
def test_a_character_that_no_path_can_hold_is_refused_where_it_stands(tmp_path: Path, key: str) -> None:
    (tmp_path / "run.toml").write_text(f'{key} = "a\\u0000b"\n[[targets]]\nmodel = "micro"\n')
    done = specbench("run", "run.toml", "--dry-run", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(r"error: run.toml cannot be read as TOML: \u0000")


def test_every_wrong_key_of_a_run_file_is_named_at_once(folder: Path) -> None:
    result = specbench("run", "keys.toml", cwd=folder)
    assert all(f"did you mean '{name}'" in result.stderr for name in ("temperatures", "budget", "drafters")), (
        result.stderr
    )


def test_a_report_of_nothing_says_what_to_do_first(tmp_path: Path) -> None:
    result = specbench("report", cwd=tmp_path)
    assert result.returncode == 2
    assert "specbench run" in result.stderr


def test_wrong_options_and_commands_are_usage_errors(tmp_path: Path) -> None:
    for words in (("run", "--frmat", "x"), ("frob",)):
        assert specbench(*words, cwd=tmp_path).returncode == 2


@pytest.mark.engine
def test_a_finished_run_is_reported_in_known_formats_and_to_places_that_exist(folder: Path) -> None:
    assert specbench("run", *QUICK, "--methods", "none", cwd=folder).returncode == 0
    unknown = specbench("report", "--format", "pdf", cwd=folder)
    assert unknown.returncode == 2
    assert all(name in unknown.stderr for name in ("text", "markdown", "csv", "json"))
    nowhere = specbench("report", "--output", "nowhere/table.txt", cwd=folder)
    assert nowhere.returncode == 2
    assert "--output" in nowhere.stderr
    run = next((folder / "results").iterdir())
    changed = specbench("run", "--resume", run, "--methods", "ngram-mod", cwd=folder)
    assert (changed.returncode, "as it was planned" in changed.stderr) == (2, True)
    machine = json.loads((run / "machine.json").read_text())
    (run / "machine.json").write_text(json.dumps({**machine, "cpu": "another"}))
    moved = specbench("run", "--resume", run, cwd=folder)
    assert (moved.returncode, "another machine" in moved.stderr) == (2, True)


class Locked(BaseHTTPRequestHandler):
    """A llama-server that wants another key; only its health is for everybody."""

    def do_GET(self) -> None:
        healthy = self.path == "/health"
        body = b'{"status": "ok"}' if healthy else b'{"error": {"code": 401, "message": "Invalid API Key"}}'
        self.send_response(200 if healthy else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Be quiet."""


def test_a_server_that_refuses_each_block_says_so_once_while_it_runs_and_once_at_the_end(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Locked)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        done = specbench("run", "--url", url, "--methods", "none", *QUICK[1:], "--repeats", "3", cwd=tmp_path)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert done.returncode == 3
    assert [line.partition(":")[0] for line in done.stderr.splitlines() if "Invalid API Key" in line] == [
        "skipped none",
        "skipped",
    ]


def test_a_recorded_command_has_no_secrets() -> None:
    words = [
        "run",
        "--url",
        "http://me:hunter2@host:1/v1",
        "--engine-arg=--api-key=abc",
        "--engine-set",
        "threads=1",
        "\udcff",
    ]
    assert flags.shown_words(words) == (
        "run", "--url", "http://…@host:1/v1", "--engine-arg=--api-key=…", "--engine-set", "threads=1", "?",
    )  # fmt: skip


@pytest.mark.parametrize("words", [["--buy", "--model", "micro"], ["--like", "mtp-quants"], ["a", "b"]])
def test_what_is_shown_beside_one_run_is_refused_elsewhere(tmp_path: Path, words: list[str]) -> None:
    done = specbench("report", "--with-published", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert "--with-imported and --with-published are for one run" in done.stderr


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.ENOENT])
def test_a_fault_that_is_not_the_paths_is_shown_whole(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fail() -> None:
        raise OSError(number, "it broke", "somewhere")

    monkeypatch.setattr("specbench.cli.main.app", fail)
    with pytest.raises(OSError, match="it broke"):
        main()
