"""Run a Python script or module with an emulated GPU, or print why that is not possible and exit with 0.

    python tests/gpu/emulator/run.py -m pytest tests/gpu -q

The library is compiled once for each version of PyTorch and kept in the user's cache.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import platformdirs
import torch

HERE = Path(__file__).resolve().parent
SOURCES = (HERE / "runtime.c", HERE / "arithmetic.py", Path(__file__).resolve())
NAME = "libcuda.so.1"
PROBE = """
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
"""Uses most of the emulator; fails with versions of PyTorch that call CUDA functions that are not emulated."""


class NotSupportedError(Exception):
    """The emulator does not work on this machine or with this version of PyTorch."""


def main() -> None:
    try:
        library = cached_library()
    except NotSupportedError as reason:
        sys.stdout.write(f"skipped: {reason}\n")
        return
    command = [sys.executable, str(HERE / "arithmetic.py"), *sys.argv[1:]]
    os.execve(command[0], command, environment(library))


def environment(library: Path) -> dict[str, str]:
    """Return the environment variables of a process with an emulated GPU."""
    paths = filter(None, (str(HERE.parents[2]), str(HERE), os.environ.get("PYTHONPATH")))
    return {
        **os.environ,
        "LD_PRELOAD": str(library),
        "EMULATED_GPU": "1",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),  # operations are small
        "PYTHONPATH": os.pathsep.join(paths),
    }


def cached_library() -> Path:
    """Return the library built for this version of PyTorch, from the user's cache or compiled and tested now."""
    if torch.cuda.is_available():
        raise NotSupportedError("this machine has a GPU: `python -m pytest tests/gpu` uses it")
    if sys.platform != "linux" or platform.machine() != "x86_64" or not torch.version.cuda:
        raise NotSupportedError("the emulated GPU requires PyTorch's CUDA build for Linux on x86-64")
    key = hashlib.sha256(b"".join([torch.__version__.encode(), *(path.read_bytes() for path in SOURCES)]))
    cached = platformdirs.user_cache_path("gan_bench") / "emulated_gpu" / f"{key.hexdigest()[:16]}-{NAME}"
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cached.parent) as folder:
            library = Path(folder, NAME)
            build(library)
            probe(library)
            library.rename(cached)
    return cached


def build(library: Path) -> None:
    """Compile the runtime against the headers of PyTorch's CUDA packages."""
    assert torch.version.cuda
    major = torch.version.cuda.partition(".")[0]
    packages = Path(torch.__file__).parents[1]
    headers = (packages / "nvidia" / f"cu{major}" / "include", packages / "triton/backends/nvidia/include")
    includes = [f"-I{folder}" for folder in headers]
    options = ["-O1", "-shared", "-fPIC", f"-Wl,-soname,{NAME}", *includes, "-o", str(library)]
    command = ["gcc", *options, str(SOURCES[0]), "-lpthread", "-ldl"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise NotSupportedError("the emulated GPU is compiled with gcc, which is not installed") from None
    except subprocess.CalledProcessError as error:
        errors = [line for line in error.stderr.splitlines() if "error" in line]
        reason = errors[0] if errors else f"exit code {error.returncode}"
        raise NotSupportedError(f"the emulated GPU does not compile: {reason}") from None


def probe(library: Path) -> None:
    """Run a short program on the emulated GPU."""
    program = library.with_name("probe.py")
    program.write_text(PROBE)
    command = [sys.executable, str(HERE / "arithmetic.py"), str(program)]
    done = subprocess.run(command, env=environment(library), capture_output=True, text=True, check=False)
    if done.returncode:
        last = " ".join(done.stderr.strip().splitlines()[-1:])
        raise NotSupportedError(
            f"the emulated GPU does not work with torch {torch.__version__} (exit code {done.returncode}, {last})"
        )


if __name__ == "__main__":
    main()
