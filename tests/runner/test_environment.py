"""environment.json: versions, device, threads, kernels and commit."""

from __future__ import annotations

import json
import re
from importlib import metadata

import pytest
import torch

import gan_bench
from gan_bench.core.options import Options
from gan_bench.runner import environment

CPU = torch.device("cpu")


def test_the_environment_is_json_with_versions_and_device() -> None:
    found = environment.describe(CPU, Options(eval_every=3))
    assert json.loads(json.dumps(found)) == found
    assert (found["gan_bench_version"], found["torch_version"]) == (
        gan_bench.__version__,
        metadata.version("torch"),
    )
    assert (found["device"], found["eval_every"], found["cuda_version"]) == ("cpu", 3, None)
    assert found["threads"] == torch.get_num_threads()
    assert all(found[key] for key in ("python_version", "platform", "device_name", "numpy_version"))


@pytest.mark.parametrize(("choice", "expected"), [("pytorch", {"pytorch"}), ("auto", {"pytorch", "onednn"})])
def test_the_cpu_kernels_in_use_are_recorded(choice: str, expected: set[str]) -> None:
    found = environment.describe(CPU, Options.model_validate({"cpu_kernels": choice}))
    assert found["cpu_kernels"] in expected


def test_the_commit_marks_uncommitted_changes() -> None:
    assert re.fullmatch(r"([0-9a-f]{12}(\+[0-9a-f]{8})?)?", environment.commit())


def test_a_package_that_is_not_installed_has_no_version() -> None:
    assert environment.version_of("no-such-package") == ""
