"""`import`, `export` and `suites import` as commands: nothing is half done; wrong input says what and what to do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FILES = Path(__file__).parents[1] / "peers" / "files"


def specbench(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "specbench", *map(str, words)]
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)


def test_files_are_kept_once_and_told_with_their_definitions(tmp_path: Path) -> None:
    for _ in range(2):
        done = specbench("import", FILES / "vllm-serve.json", FILES / "mtp-bench.txt", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert "1 + A/S, steps without a draft left out" in done.stdout
    assert "not measured by specbench" in done.stdout
    kept = sorted((tmp_path / "results" / "imported").iterdir())
    assert [path.name.rpartition("-")[0] for path in kept] == ["mtp-bench", "vllm-serve"]
    assert {f["unit"] for f in json.loads(kept[0].read_bytes())["figures"]} == {"fraction", "tok/s", "s"}


def test_a_file_whose_name_is_no_unicode_is_kept(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"b\xff.json")
    odd.write_bytes((FILES / "llama-bench.json").read_bytes())
    done = specbench("import", odd, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (kept,) = (tmp_path / "results" / "imported").iterdir()
    assert json.loads(kept.read_bytes())["file"] == "b\ufffd.json"


def test_json_on_standard_output_is_json(tmp_path: Path) -> None:
    done = specbench("import", FILES / "guidellm.json", FILES / "aiperf.json", "--json", cwd=tmp_path)
    assert [found["format"] for found in json.loads(done.stdout)] == ["guidellm", "aiperf"]


@pytest.mark.parametrize(
    ("words", "says", "advises"),
    [
        (["import", "missing.json"], "missing.json", "check the path"),
        (["import", FILES / "sglang.log", "broken.json"], "broken JSON", "whole file"),
        (["import", FILES / "sglang.log", "--format", "sglan-log"], "sglan-log", "did you mean 'sglang-log'"),
        (["import", "other.txt"], "other.txt: its content is no format that is known", "known: llama-bench"),
        (["export", "nowhere"], "nowhere", "specbench runs list"),
        (["suites", "import", "broken.json", "--format", "gsm8k", "--to", "x"], "broken JSON", "whole file"),
        (["suites", "import", "rows.jsonl", "--format", "gsm8", "--to", "x"], "gsm8", "did you mean 'gsm8k'"),
        (["suites", "import", "rows.jsonl", "--format", "gsm8k", "--to", "x"], "no text in question", "--column"),
        (["suites", "import", "rows.jsonl", "--format", "jsonl", "--to", "x", "--column", "prompt"], "", "prompt=NAME"),
        (["suites", "import", "missing", "--format", "jsonl", "--to", "x"], "error: cannot read missing", "check the"),
        (["suites", "import", "rows.jsonl", "--format", "jsonl", "--to", "."], ". exists", "new folder"),
        (
            ["suites", "import", "rows.jsonl", "--format", "jsonl", "--to", "x", "-o", "0"],
            "0 tokens",
            "--output-tokens",
        ),
    ],
)
def test_wrong_input_says_what_and_what_to_do_and_writes_nothing(
    words: list[str | Path], says: str, advises: str, tmp_path: Path
) -> None:
    (tmp_path / "broken.json").write_bytes((FILES / "guidellm.json").read_bytes()[:-9])
    (tmp_path / "other.txt").write_text("a letter\n")
    (tmp_path / "rows.jsonl").write_text('{"prompt": "Hello"}\n')
    before = sorted(tmp_path.iterdir())
    done = specbench(*words, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert advises in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 2
    assert sorted(tmp_path.iterdir()) == before


def test_a_damaged_import_is_named(tmp_path: Path) -> None:
    from specbench import exchange
    from specbench.errors import InputError

    with pytest.raises(InputError, match="nothing was imported"):
        exchange.kept(tmp_path)
    exchange.keep(exchange.read(FILES / "dflash.txt"), results=tmp_path)
    assert [found.format for found in exchange.kept(tmp_path)] == ["dflash"]
    (tmp_path / "imported" / "x.json").write_text("{}")
    with pytest.raises(InputError, match=r"x\.json is damaged"):
        exchange.kept(tmp_path)
