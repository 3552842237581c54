"""The emulated GPU, built for the PyTorch that is installed; where that can't be, its tests are skipped."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SECONDS = 600.0
FITS = """
import torch
source = torch.Generator("cuda").manual_seed(1)
def draw():
    return torch.randn(4, 4, generator=source, device="cuda") @ torch.ones(4, 4, device="cuda")
first, second = draw().tolist(), draw().tolist()
source.manual_seed(1)
graph = torch.cuda.CUDAGraph()
if torch.torch_version.__version__ < (2, 14):
    graph.register_generator_state(source)
with torch.cuda.graph(graph):
    drawn = draw()
for expected in (first, second):
    graph.replay()
    assert drawn.tolist() == expected, (drawn, expected)
"""
"""A program that needs most of it; a PyTorch that it fails with calls CUDA in ways that are not emulated."""

Emulated = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def on_a_gpu(tmp_path_factory: pytest.TempPathFactory) -> Emulated:
    """Run a script or a module on an emulated GPU: `on_a_gpu("script.py", "--option", mebibytes=600)`.

    With `computing=False` its kernels leave every number as it is: zero, as a rule.
    """
    folder = tmp_path_factory.mktemp("emulated_gpu")
    library = _build(folder)

    def run(*command: str, computing: bool = True, **environment: object) -> subprocess.CompletedProcess[str]:
        settings = {f"EMULATED_GPU_{name.upper()}": str(value) for name, value in environment.items()}
        paths = (ROOT, ROOT / "tests" / "training", ROOT / "benchmarks")
        return subprocess.run(
            [sys.executable, *([str(HERE / "arithmetic.py")] if computing else []), *command],
            env={
                **os.environ,
                **settings,
                "LD_PRELOAD": str(library),
                "TRITON_LIBCUDA_PATH": str(folder),
                "PYTHONPATH": os.pathsep.join(map(str, paths)),
            },
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    program = folder / "fits.py"
    program.write_text(FITS)
    tried = run(str(program))
    if tried.returncode:
        last_line = tried.stderr.strip().splitlines()[-1:]
        ended = f"exit code {tried.returncode}, {' '.join(last_line)}"
        pytest.skip(f"the emulated GPU does not fit torch {torch.__version__}: {ended}")
    return run


def _build(folder: Path) -> Path:
    """Compile the runtime against the headers of PyTorch's CUDA packages; skip where that can't be done."""
    if torch.cuda.is_available():
        pytest.skip("there is a GPU: benchmarks/gpu.py asks that one")
    if sys.platform != "linux" or platform.machine() != "x86_64" or not torch.version.cuda:
        pytest.skip("only PyTorch's CUDA build for Linux on x86-64 can be told that there is a GPU")
    packages = Path(torch.__file__).parents[1]
    major = torch.version.cuda.partition(".")[0]
    headers = (packages / "nvidia" / f"cu{major}" / "include", packages / "triton/backends/nvidia/include")
    library = folder / "libcuda.so.1"
    includes = [f"-I{header}" for header in headers]
    options = ["-O1", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", *includes, "-o", str(library)]
    try:
        subprocess.run(["gcc", *options, str(HERE / "runtime.c"), "-lpthread", "-ldl"], check=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"it can't be compiled: {error}")
    (folder / "libcuda.so").symlink_to(library)  # what Triton links against
    return library
