"""What runs on a GPU, on an emulated one: PyTorch's own CUDA code, captures and memory; a CPU's numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gan_bench.data.dataset import datasets, default_root
from gan_bench.store.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ROOT = Path(__file__).resolve().parents[2]
RUN = ["gan_bench", "run", "--device", "auto", "--dataset", "synthetic", "--preset", "smoke", "--offline"]

EPOCHS = """
import ctypes
import torch
from training_cases import random_images, small_spec
from gan_bench.training import tuning
from gan_bench.training.trainer import Trainer

library, device = ctypes.CDLL(None), torch.device("cuda", 0)
counts = lambda: (library.emulated_waits(), library.emulated_launches())
for steps in (4, 16):
    spec = small_spec("{model}", steps=steps)
    trainer = Trainer([spec], random_images(spec.image_size, 16 * spec.batch_size).to(device), device)
    tuning.warm_up(trainer, fuse=False)
    assert trainer.graph is not None
    trainer._epoch.open(0)
    before = counts()
    trainer.train_steps()
    print(steps, *(now - earlier for now, earlier in zip(counts(), before)))
"""

FAILED = """
import gc
import torch
from training_cases import random_images, small_spec
from gan_bench import environment
from gan_bench.training import tuning
from gan_bench.training.trainer import Trainer

device = torch.device("cuda", 0)
images = random_images(28).to(device)
for number in range(3):
    trainer = Trainer([small_spec("vanilla", seed=seed) for seed in range(8)], images, device)
    advance, reasons = trainer.advance, []
    trainer.advance = lambda: (advance(), trainer.is_finite(0))  # waits for the device: no graph can
    tuning.capture(trainer, reasons.append)
    assert trainer.graph is None and len(reasons) == 1
    trainer.advance = advance
    trainer.one_step()
    del trainer, advance
    gc.collect()
    environment.release_memory(device)
    print(torch.cuda.memory_reserved())
"""

ANOTHER_DEVICE = """
import torch
from training_cases import random_images, small_spec
from gan_bench.training.trainer import Trainer

spec, images = small_spec("dcgan28"), random_images(28)
for begun, gone_on in (("cuda:0", "cpu"), ("cpu", "cuda:0")):
    first, second = (Trainer([spec], images.to(name), torch.device(name)) for name in (begun, gone_on))
    first.train_steps(pause=lambda: first.step >= 5)
    second.load_state_(0, first.state(0))
    while not second.finished:
        second.train_epoch()
    assert second.step == spec.steps and second.is_finite(0)
"""

STOPWATCH = """
import torch
from training_cases import random_images, small_spec
from gan_bench import environment
from gan_bench.training import tuning
from gan_bench.training.trainer import Trainer

tuning.COMPILE_PAYS_SECONDS = -1.0
tuning.compile_if_faster = lambda trainer, notify: print("tried", torch.are_deterministic_algorithms_enabled())
images, device = random_images(28).to("cuda:0"), torch.device("cuda", 0)
tuning.warm_up(Trainer([small_spec("vanilla")], images, device))
environment.be_deterministic()
tuning.warm_up(Trainer([small_spec("vanilla")], images, device))
"""

FUSED = """
import torch
from training_cases import random_images, small_spec
from gan_bench.training import tuning
from gan_bench.training.trainer import Trainer

torch.backends.cudnn.enabled = False
tuning.agree = lambda *args: True  # nothing is computed here, and nan is nobody's equal
tuning.TRIAL_STEPS, seconds = 1, iter((2.0, 1.0))
tuning.seconds_per_step = lambda *args: next(seconds)
device = torch.device("cuda", 0)
specs = [small_spec("{model}", seed=seed, precision="{precision}") for seed in range({lanes})]
trainer = Trainer(specs, random_images(specs[0].image_size).to(device), device)
trainer.advance()
tuning.capture(trainer, print)
plain = trainer.graph
tuning.compile_if_faster(trainer, print)
assert plain is not None and trainer.graph is not None and trainer.graph is not plain
trainer.one_step()
"""


def succeeded(tried) -> str:
    assert tried.returncode == 0, tried.stdout[-3000:] + tried.stderr[-3000:]
    return tried.stdout


def program(folder: Path, text: str) -> str:
    path = folder / "program.py"
    path.write_text(text)
    return str(path)


def test_every_check_for_a_gpu_passes(on_a_gpu, tmp_path):
    """Captured steps against the oracle, lanes, checkpoints, failed captures, determinism, precisions, scores."""
    out = tmp_path / "checks.json"
    script = str(ROOT / "benchmarks" / "gpu_checks.py")
    tried = on_a_gpu(script, "--device", "cuda", "--data-root", str(default_root()), "--out", str(out))
    found = {each["check"]: each["outcome"] for each in json.loads(out.read_text())["rows"]}
    # nothing is compiled while the arithmetic is done: those checks would say nothing here
    found = {name: outcome for name, outcome in found.items() if not name.startswith("compiled_is_near")}
    if not datasets.get("mnist").at_hand(default_root()):
        del found["scores_are_the_cpus"]
    assert {name: outcome for name, outcome in found.items() if outcome != "ok"} == {}, tried.stderr[-3000:]
    assert len(found) >= 40


@pytest.mark.parametrize("model", ["vanilla", "dcgan28"])
def test_a_step_is_one_launch_and_an_epoch_waits_once(on_a_gpu, tmp_path, model):
    """Four times the steps are no more waiting, and twelve more of what one step launches."""
    lines = succeeded(on_a_gpu(program(tmp_path, EPOCHS.format(model=model)))).splitlines()
    (few, waits, launches), (many, more_waits, more_launches) = (map(int, line.split()) for line in lines)
    assert more_waits == waits <= 2  # before the clock starts, and when it stops
    a_step = (more_launches - launches) / (many - few)
    assert 1 <= a_step <= 6, "the graph, and what tells it where its random streams are"


def test_a_failed_capture_gives_its_memory_back(on_a_gpu, tmp_path):
    first, second, third = succeeded(on_a_gpu(program(tmp_path, FAILED))).split()
    assert first == second == third


def test_a_run_goes_on_on_another_kind_of_device(on_a_gpu, tmp_path):
    succeeded(on_a_gpu(program(tmp_path, ANOTHER_DEVICE)))


def test_no_stopwatch_decides_what_a_deterministic_run_computes(on_a_gpu, tmp_path):
    assert succeeded(on_a_gpu(program(tmp_path, STOPWATCH))).split("\n") == ["tried False", ""]


@pytest.mark.parametrize(("model", "precision", "lanes"), [("dcgan64", "bf16", 1), ("vanilla", "tf32", 4)])
def test_steps_of_fused_layers_are_captured(on_a_gpu, tmp_path, model, precision, lanes):
    """What torch.compile makes of the networks, by Triton for an H200, is captured in its turn."""
    text = FUSED.format(model=model, precision=precision, lanes=lanes)
    succeeded(on_a_gpu(program(tmp_path, text), computing=False))


def test_a_matrix_is_run_on_the_gpu_that_is_found(on_a_gpu, tmp_path):
    out = tmp_path / "out"
    given = ["--models", "vanilla,dcgan", "--seeds", "0,1", "--lanes", "2", "--precision", "bf16"]
    succeeded(on_a_gpu(*RUN, *given, "--out", str(out)))
    records = [run.record for run in Store.open(out, create=False).runs()]
    assert [record.status for record in records] == ["done"] * 4
    assert {record.lanes for record in records} == {2}
    assert all(record.peak_memory_bytes and record.peak_memory_bytes > 2**20 for record in records)
    assert (out / "report" / "index.html").is_file()
    assert "emulated GPU" in (out / "report" / "report.md").read_text()


def test_lanes_that_do_not_fit_into_the_memory_are_trained_in_fewer(on_a_gpu, tmp_path):
    """Eight need about 400 MiB at full width, four half of that."""
    out = tmp_path / "out"
    given = ["--models", "vanilla", "--seeds", "0-7", "--lanes", "8", "--set", "width=1", "--json"]
    told = succeeded(on_a_gpu(*RUN, *given, "--out", str(out), mib=375))
    records = [run.record for run in Store.open(out, create=False).runs()]
    assert [record.status for record in records] == ["done"] * 8
    assert {(record.lanes, record.attempts) for record in records} == {(4, 2)}
    assert "8 failed runs are tried again" in told


def test_a_gpu_that_is_full_is_no_defect(on_a_gpu, tmp_path):
    given = ["--models", "vanilla", "--metrics", "fid", "--eval-samples", "2000", "--out", str(tmp_path / "out")]
    tried = on_a_gpu(*RUN, *given, mib=30)
    assert tried.returncode == 1
    last_line = tried.stderr.strip().splitlines()[-1]
    assert "CUDA out of memory" in last_line
    assert "make room for it" in last_line
    assert "defect" not in tried.stderr
