"""A captured machine answers as the machine did, and holds nothing that identifies it."""

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hardware import roots

from specbench.errors import InputError
from specbench.hardware import capture
from specbench.hardware.detect import detect
from specbench.hardware.reading import Missing, Source
from specbench.records import Machine
from specbench.structs import from_json, to_json

UUID = "a1b2c3d4-0000-1111-2222-333344445555"


def specbench(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "specbench", "hardware", *map(str, words)]
    return subprocess.run(
        argv,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.parametrize("plant", [roots.mi50_x2, roots.strix_halo, roots.mixed])
def test_a_captured_root_gives_the_same_machine(plant: Callable[[Path], Path], tmp_path: Path) -> None:
    source = Source(root=plant(tmp_path / "root"), live=False, environment={"OMP_NUM_THREADS": "4"})
    capture.write(tmp_path / "machine.tar.gz", source)
    replayed = detect(capture.read(tmp_path / "machine.tar.gz"), devices=True)
    assert replayed == detect(source, devices=True)
    assert replayed.accelerators
    with tarfile.open(tmp_path / "machine.tar.gz") as archive:
        for member in archive.getmembers():
            if member.name.startswith("root/sys/bus"):
                there = (tmp_path / member.name).read_bytes()
                assert archive.extractfile(member).read() == there  # type: ignore[union-attr]  a plain file


@pytest.mark.parametrize("rig", ["rtx3090-x2", "rtx4060-laptop", "gb10", "a100-mig"])
def test_captured_answers_of_nvml_give_the_same_machine_without_the_driver(
    on_rig: Callable[..., Machine], rig: str, tmp_path: Path
) -> None:
    root = roots.plant(tmp_path / "root", {"proc/meminfo": "MemTotal:       125513844 kB"})
    machine = on_rig(rig, root=root, capture=tmp_path / "machine.tar.gz")
    assert machine.accelerators
    assert detect(capture.read(tmp_path / "machine.tar.gz")) == machine


def test_this_machine_can_be_captured_shown_and_replayed(tmp_path: Path) -> None:
    file = tmp_path / "machine.tar.gz"
    assert specbench("capture", file).returncode == 0
    shown = specbench("show", "--json", "--from-capture", file)
    assert (shown.returncode, shown.stderr) == (0, "")
    here = machine_of(specbench("show", "--json").stdout)
    assert machine_of(shown.stdout) == here


def machine_of(shown: str) -> Machine:
    return from_json(Machine, json.dumps(json.loads(shown)["machine"]).encode())


def test_nothing_that_identifies_a_machine_is_in_a_capture(tmp_path: Path) -> None:
    root = roots.mi50_x2(tmp_path / "root")
    roots.plant(
        root,
        {
            "proc/cpuinfo": "processor\t: 0\nmodel name\t: Some CPU\nSerial\t\t: 10000000deadbeef",
            f"{roots.PCI}/0000:03:00.0/unique_id": "feedc0dedeadbeef",
            "etc/hostname": "the-host",
        },
    )
    environment = {
        "CUDA_VISIBLE_DEVICES": f"GPU-{UUID}",
        "LLAMA_ARG_MODEL": f"{Path.home()}/model.gguf",
        "LLAMA_API_KEY": "hidden",
        "HOSTNAME": "the-host",
        "TPU_WORKER_HOSTNAMES": "the-host",
    }
    capture.write(tmp_path / "machine.tar.gz", Source(root=root, environment=environment, live=False))
    with tarfile.open(tmp_path / "machine.tar.gz") as archive:
        text = "".join(archive.extractfile(m).read().decode() for m in archive.getmembers())  # type: ignore[union-attr]
        owners = {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in archive.getmembers()}
    assert "Some CPU" in text
    assert "~/model.gguf" in text
    for identifying in ("deadbeef", "1234567890123", UUID, "hidden", "the-host", str(tmp_path)):
        assert identifying not in text
    assert owners == {(0, 0, "", "", 0)}


def test_two_cards_chosen_by_uuid_stay_apart(tmp_path: Path) -> None:
    other = UUID.replace("a1b2", "ffff")
    environment = {"CUDA_VISIBLE_DEVICES": f"GPU-{UUID},GPU-{other}"}
    chosen = detect(Source(root=tmp_path, environment=environment, live=False)).environment["CUDA_VISIBLE_DEVICES"]
    one, two = chosen.split(",")
    assert one != two
    assert one.startswith("GPU-")


def test_a_reading_that_an_older_capture_lacks_is_a_reason(tmp_path: Path) -> None:
    source = Source(root=roots.strix_halo(tmp_path / "root"), live=False)
    detect(source)
    lacking = ("mem_info_vram_total", "bridges")
    recorded = {key: value for key, value in source.seen.items() if not any(word in key for word in lacking)}
    (chip,) = detect(Source(recorded=recorded)).accelerators
    assert chip.memory is None
    assert chip.reasons["memory"] == "error: the capture has no such reading"


def _archive(path: Path, readings: str) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("readings.json")
        member.size = len(readings)
        archive.addfile(member, io.BytesIO(readings.encode()))
    return path


@pytest.mark.parametrize("readings", ["{", "[]", '{"a": 3}', '{"a": {}}'])
def test_a_capture_with_broken_readings_is_refused(tmp_path: Path, readings: str) -> None:
    with pytest.raises(InputError, match="is no capture"):
        capture.read(_archive(tmp_path / "broken.tar.gz", readings))


def test_what_is_no_capture_is_refused_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no archive")
    whole = tmp_path / "whole.tar.gz"
    capture.write(whole, Source(root=tmp_path, live=False))
    (tmp_path / "cut").write_bytes(whole.read_bytes()[:-30])
    for name in ("missing", "text", "cut"):
        with pytest.raises(InputError):
            capture.read(tmp_path / name)
    with pytest.raises(InputError, match="exclude each other"):
        capture.source(tmp_path, whole)
    with pytest.raises(InputError, match="no folder"):
        capture.source(tmp_path / "missing", None)
    with pytest.raises(InputError, match="cannot write"):
        capture.write(tmp_path / "missing" / "out.tar.gz", Source(root=tmp_path, live=False))


def test_without_accelerators_show_says_none_with_clean_json(tmp_path: Path) -> None:
    shown = specbench("show", "--root", tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Accelerators: none" in shown.stdout
    told = specbench("show", "--json", "--root", tmp_path)
    assert (told.returncode, told.stderr) == (0, "")
    assert json.loads(told.stdout)["profiles"] == []
    assert json.loads(told.stdout)["machine"]["accelerators"] == []
    readings = json.loads(told.stdout)["machine"]["readings"].values()
    assert [value for value in readings if value == 0 and value is not False] == []


def test_show_draws_every_reading_and_every_reason(tmp_path: Path) -> None:
    root = roots.strix_halo(tmp_path)
    shown = specbench("show", "--root", root).stdout
    for text in ("1002:1586", "gfx1151", "120 GiB", "unified", "why not", "unsupported: the memory clock told"):
        assert text in shown


def test_an_apple_machine_is_told_from_recorded_answers() -> None:
    recorded = {
        "platform system": "Darwin",
        "platform release": "25.0.0",
        "platform machine": "arm64",
        "program sysctl machdep.cpu.brand_string": "Apple M3 Max",
        "program sysctl hw.optional.arm.FEAT_DotProd": "1",
        "program sysctl iogpu.wired_limit_mb": "0",
        "program ioreg": '+-o AGXAcceleratorG15X\n  "model" = "Apple M3 Max"\n  "gpu-core-count" = 40',
        "memory": 128 * 2**30,
        "cores_physical": 16,
        "environment": {},
    }
    machine = detect(Source(recorded=recorded))
    (chip,) = machine.accelerators
    assert chip.identity() == ("apple", None, None, 128 * 2**30, 40)
    assert (machine.cpu, machine.isa, machine.memory, chip.unified) == ("Apple M3 Max", ("asimddp",), 128 * 2**30, True)
    assert chip.reasons["memory_wired_limit"] == "unsupported: none is set, macOS decides"
    limited = {
        **recorded,
        "program sysctl iogpu.wired_limit_mb": "120000",
        "program ioreg": Missing("error: it failed"),
    }
    (chip,) = detect(Source(recorded=limited)).accelerators
    assert chip.readings["memory_wired_limit"] == 120000 * 2**20
    assert chip.units is None
    assert detect(Source(recorded={**recorded, "program sysctl machdep.cpu.brand_string": "Intel"})).accelerators == ()


def test_a_machine_survives_its_record(tmp_path: Path) -> None:
    machine = detect(Source(root=roots.mixed(tmp_path), live=False))
    assert from_json(Machine, to_json(machine)) == machine
