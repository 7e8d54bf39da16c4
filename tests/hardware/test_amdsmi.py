"""AMD's cards as the real package amdsmi tells them through a compiled libamd_smi.so, with their files in a root."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from hardware import roots

HERE = Path(__file__).parent
RIG = {  # an MI50 as amdsmi names it, with invented readings
    "0.bdf": "0000:03:00.0",
    "0.market_name": "AMD Instinct MI60 / MI50",
    "0.serial": "0x5E41A1",
    "0.watts": "200",
    "0.pid.0": "self",
    "0.vram.0": str(7 * 2**30),
    "0.pid.1": "1",
    "0.vram.1": str(2**30),
    "1.bdf": "0000:43:00.0",
}
CODE = """
import json, sys, time
from pathlib import Path
import psutil
from specbench.hardware import sensors, telemetry
from specbench.hardware.detect import detect
from specbench.hardware.reading import Source
from specbench.structs import to_json

root = Path(sys.argv[1])
sensors.Engine.follow = lambda engine: engine.processes.append(psutil.Process())
machine = detect(Source(root=root))
with telemetry.opened(machine.accelerators, root=root) as sampler:
    sampler.follow_engine()
    read = {source.name: source.read(rarely=True) for source in sampler.sources}
    with sampler.watching() as watch:
        time.sleep(0.3)
    seen = watch.telemetry("a trial", started=0.0)
print(json.dumps([json.loads(to_json(machine)), read, json.loads(to_json(seen))]))
"""
Told = Callable[..., tuple[list[dict[str, Any]], dict[str, dict[str, Any]], dict[str, Any]]]


def compiled(folder: Path, *, whole: bool = True) -> Path:
    """The library; `whole` has a stub for every symbol that the package binds when it is imported."""
    if sys.platform != "linux" or (compiler := shutil.which("cc") or shutil.which("gcc")) is None:
        pytest.skip("needs Linux and a C compiler")
    text = (HERE / "fake_amdsmi.c").read_text()
    wrapper = Path(str(metadata.distribution("amdsmi").locate_file("amdsmi/amdsmi_wrapper.py"))).read_text()
    bound = set(re.findall(r"_libraries\['libamd_smi\.so'\]\.(\w+)", wrapper)) if whole else set()
    written = set(re.findall(r"^API (\w+)\(", text, re.MULTILINE))
    assert written <= bound or not whole
    text += "".join(f"API {name}(void) {{ return UNSUPPORTED; }}\n" for name in sorted(bound - written))
    (folder / "whole.c").write_text(text)
    flags = ["-shared", "-fPIC", "-Wall", "-Werror", "-fvisibility=hidden"]
    subprocess.run([compiler, *flags, "-o", folder / "libamd_smi.so", folder / "whole.c"], check=True)
    return folder


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("amdsmi"))


@pytest.fixture
def told(tmp_path: Path) -> Told:
    """cards, sensors, telemetry = told(library, {"0.watts": "300"}); a value of None takes the line out."""

    def run(library: Path | None, changes: dict[str, str | None] | None = None) -> Any:
        rig = tmp_path / "rig"
        rig.write_text("".join(f"{k}={v}\n" for k, v in {**RIG, **(changes or {})}.items() if v is not None))
        root = tmp_path / "root"
        if not root.exists():
            roots.mi50_x2(root)
        environment = {**os.environ, "FAKE_AMDSMI": str(rig), "LD_LIBRARY_PATH": str(library or "")}
        argv = [sys.executable, "-c", CODE, root]
        answer = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True).stdout
        machine, read, seen = json.loads(answer)  # and nothing else is on standard output
        return machine["accelerators"], read, seen

    return run


def test_the_library_adds_the_name_the_energy_and_the_engines_memory(told: Told, library: Path) -> None:
    (card, other), read, seen = told(library)
    assert (card["name"], card["readings"]["energy_counter"]) == ("AMD Instinct MI60 / MI50", True)
    assert (read["amd0"]["engine_memory"], read["amd0"]["foreign_processes"]) == (7 * 2**30, 1)
    meter = seen["meters"]["amd0"]
    first, last = meter["points"][0], meter["points"][-1]
    assert (meter["kind"], meter["scope"]) == ("energy", "gpu")
    assert (last[1] - first[1]) / (last[0] - first[0]) == pytest.approx(200, rel=0.3)
    unsupported = "unsupported: amdsmi: AMDSMI_STATUS_NOT_SUPPORTED - Feature not supported"
    assert other["reasons"]["energy_counter"] == read["amd1"]["energy"] == unsupported
    assert read["amd1"]["engine_memory"] == unsupported
    assert "0x5E41A1" not in json.dumps((card, read, seen)), "the serial identifies one card"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"0.watts": None, "0.energy": "!10"}, "no permission: amdsmi: AMDSMI_STATUS_NO_PERM - Permission Denied"),
        ({"0.watts": None, "0.energy": "0"}, "error: amdsmi: 0 J cannot be"),
        ({"0.watts": None, "0.energy": str(2**64 - 1)}, "error: amdsmi: 2.81479e+14 J cannot be"),
        ({"0.bdf": "0000:99:00.0"}, "error: amdsmi: AMDSMI_STATUS_NOT_FOUND - Device Not found"),
        ({"init": "34"}, "no driver: amdsmi: AMDSMI_STATUS_DRIVER_NOT_LOADED - Driver not loaded"),
    ],
)
def test_what_the_library_cannot_tell_is_a_reason_and_the_files_still_speak(
    told: Told, library: Path, change: dict[str, str | None], reason: str
) -> None:
    (card, _), read, seen = told(library, change)
    assert card["reasons"]["energy_counter"] == read["amd0"]["energy"] == reason
    assert card["memory"] == 34342961152
    assert "amd0" not in seen["meters"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"0.pid.0": "3"}, "the driver does not list the engine's process"),
        ({"0.vram.0": str(2**64 - 1)}, "1.84467e+19 cannot be"),
    ],
)
def test_memory_of_the_engine_that_is_not_known_is_a_reason(
    told: Told, library: Path, change: dict[str, str | None], reason: str
) -> None:
    assert told(library, change)[1]["amd0"]["engine_memory"] == reason


def test_a_name_that_is_unknown_is_a_reason(told: Told, library: Path) -> None:
    (card, _), _, _ = told(library, {"0.market_name": "N/A"})
    assert (card["name"], card["reasons"]["name"]) == (None, "unsupported: the answer is 'N/A'")


def test_a_serial_that_the_package_cannot_read_costs_the_name_only(told: Told, library: Path) -> None:
    (card, _), _, _ = told(library, {"0.serial": "none"})
    assert (card["name"], card["reasons"]["name"]) == (None, "error: amdsmi: ValueError")
    assert card["readings"]["energy_counter"] is True


def test_the_package_without_its_library_prints_nothing_and_is_a_reason(told: Told) -> None:
    if Path("/opt/rocm").exists():
        pytest.skip("the real library may be here")
    (card, _), read, _ = told(None)
    assert card["reasons"]["name"] == read["amd0"]["energy"] == "no driver: amdsmi: KeyError: 'libamd_smi.so'"


def test_a_library_of_another_version_is_a_reason(told: Told, tmp_path: Path) -> None:
    (card, _), _, _ = told(compiled(tmp_path, whole=False))
    assert re.fullmatch(r"no driver: amdsmi: AttributeError: .*: undefined symbol: \w+", card["reasons"]["name"])


def test_without_the_package_the_extra_is_named(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    from specbench.hardware import amd

    monkeypatch.setitem(sys.modules, "amdsmi", None)
    amd.amdsmi.cache_clear()
    assert amd.ask("0000:03:00.0", amd.energy).reason == "no driver: the extra specbench[amd] is not installed"
    amd.amdsmi.cache_clear()
