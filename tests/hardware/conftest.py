"""A compiled stand-in for NVIDIA's driver library, and detection in a process that loads it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from specbench.records import Machine
from specbench.structs import from_json

HERE = Path(__file__).parent
# One line in: the rig's file, the root, the capture to write or null. One line out: the machine.
DETECTOR = """
import json, os, sys
from pathlib import Path
from specbench.hardware import capture
from specbench.hardware.detect import detect
from specbench.hardware.reading import Source
from specbench.structs import to_json

for line in sys.stdin:
    rig, root, file = json.loads(line)
    os.environ["FAKE_NVML_RIG"] = rig
    source = Source(root=Path(root))
    answer = to_json(detect(source))
    if file:
        capture.write(Path(file), source)
    sys.stdout.buffer.write(answer + b"\\n")
    sys.stdout.buffer.flush()
"""


@pytest.fixture(scope="session")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[bytes]]:
    """A process in which the real nvidia-ml-py loads the compiled stand-in; it reads the rig's file at every start."""
    if sys.platform != "linux" or (compiler := shutil.which("cc") or shutil.which("gcc")) is None:
        pytest.skip("needs Linux and a C compiler")
    library = tmp_path_factory.mktemp("nvml") / "libnvidia-ml.so.1"
    flags = ["-shared", "-fPIC", "-Wall", "-Werror", "-fvisibility=hidden", f"-Wl,-soname,{library.name}"]
    subprocess.run([compiler, *flags, "-o", library, HERE / "fake_nvml.c"], check=True)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library.parent)}
    argv = [sys.executable, "-c", DETECTOR]
    with subprocess.Popen(argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def on_rig(detector: subprocess.Popen[bytes], tmp_path: Path) -> Callable[..., Machine]:
    """machine = on_rig("gb10", {"line": "its replacement"}, root=..., capture=...)."""

    def run(
        name: str, changes: dict[str, str] | None = None, *, root: Path = Path("/"), capture: Path | None = None
    ) -> Machine:
        text = (HERE / "rigs" / f"{name}.rig").read_text()
        for old, new in (changes or {}).items():
            assert f"\n{old}\n" in text, old
            text = text.replace(f"\n{old}\n", f"\n{new}\n")
        rig = tmp_path / "changed.rig"
        rig.write_text(text)
        assert detector.stdin is not None
        assert detector.stdout is not None
        words = [str(rig), str(root), str(capture) if capture else None]
        detector.stdin.write(json.dumps(words).encode() + b"\n")
        detector.stdin.flush()
        return from_json(Machine, detector.stdout.readline())

    return run
