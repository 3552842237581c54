"""Steps with every loss and penalty, and with plugins' modules, against the textbook loop in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.oracle import textbook
from helpers.training_cases import CPU, random_batch, small_spec

from gan_bench.core.training_spec import TrainingSpec
from gan_bench.training.flops import step_flops
from gan_bench.training.trainer import Trainer

F64 = torch.float64
OBJECTIVES: dict[str, dict] = {
    "hinge": {"loss": "hinge"},
    "wgan-gp": {"loss": "wgan-gp", "penalty": "gp"},
    "r1": {"penalty": "r1"},
    "lazy r1": {"penalty": "r1", "settings": {"r1_interval": 3}},
    "lazy r1, two updates of D": {"penalty": "r1", "settings": {"r1_interval": 3, "d_steps": 2}},
    "hinge with gp, two updates of D": {"loss": "hinge", "penalty": "gp", "settings": {"d_steps": 2}},
    "lsgan with dragan": {"loss": "lsgan", "penalty": "dragan"},
    "minimax with r2": {"loss": "minimax", "penalty": "r2"},
    "one-sided gp, lazy": {"penalty": "gp", "settings": {"gp_one_sided": True, "gp_interval": 2}},
    "ragan": {"loss": "ragan"},
    "relativistic with r1+r2, lazy": {
        "loss": "relativistic",
        "penalty": "r1+r2",
        "settings": {"r1_interval": 2, "r2_interval": 2},
    },
    "wgan": {"loss": "wgan"},
    "real logits in G": {"loss": "test-relativistic"},
    "real logits in G, two updates of D": {"loss": "test-relativistic", "settings": {"d_steps": 2}},
}
MODELS = ("vanilla", "dcgan28", "dcgan32", "cgan", "cdcgan28", "acgan28", "test-spectral", "test-layer-norm")
STEPS = 7
pytestmark = pytest.mark.usefixtures("plugins")


def case(model: str, objective: str, **changes: object) -> TrainingSpec:
    return small_spec(model, **{"steps": STEPS, "batch_size": 4, **OBJECTIVES[objective], **changes})


def tensors(trainer: Trainer, lane: int) -> dict[str, torch.Tensor]:
    return {
        f"{net}.{name}": value[lane].to(F64)
        for net, state in (("g", trainer.g), ("d", trainer.d))
        for part in (state.params, state.buffers)
        for name, value in part.items()
    }


def trained(specs: list[TrainingSpec], **options: object) -> tuple[Trainer, list]:
    trainer = Trainer(specs, random_batch(specs[0].image_size), CPU, F64, **options)
    epochs = []
    while not trainer.finished:
        epochs += trainer.train_epoch()
    return trainer, epochs


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("model", MODELS)
def test_steps_equal_the_textbook_loop(model, objective):
    spec = case(model, objective, lr_g=3e-4, lr_d=1e-4)
    data = random_batch(spec.image_size)
    first = Trainer([spec], random_batch(spec.image_size), CPU, F64)
    start = {
        net: {name: value[0].clone() for name, value in {**state.params, **state.buffers}.items()}
        for net, state in (("g", first.g), ("d", first.d))
    }
    expected, losses = textbook(spec, data.images, start, STEPS, data.labels)
    trainer, epochs = trained([spec])
    for name, value in tensors(trainer, 0).items():
        wanted = expected[name[0]][name[2:]].to(F64)
        assert torch.allclose(value, wanted, rtol=1e-9, atol=1e-10), name
    steps = epochs[0].step
    assert (epochs[0].d_loss, epochs[0].g_loss) == pytest.approx(np.array(losses[:steps]).mean(0), abs=1e-9)


@pytest.mark.parametrize(
    "objective",
    [
        "hinge",
        "wgan-gp",
        "lazy r1, two updates of D",
        "real logits in G, two updates of D",
        "lsgan with dragan",
        "relativistic with r1+r2, lazy",
        "wgan",
    ],
)
@pytest.mark.parametrize("model", MODELS)
def test_lanes_equal_solo_runs(model, objective):
    specs = [case(model, objective, seed=seed, lr_g=rate, lr_d=rate) for seed, rate in ((0, 1e-4), (5, 4e-4))]
    together = trained(specs)[0]
    for lane, spec in enumerate(specs):
        alone = tensors(trained([spec])[0], 0)
        for name, value in tensors(together, lane).items():
            assert torch.allclose(value, alone[name], rtol=1e-9, atol=1e-9), (lane, name)


@pytest.mark.parametrize("objective", ["wgan-gp", "lazy r1, two updates of D"])
@pytest.mark.parametrize("model", ["dcgan28", "test-spectral"])
def test_resuming_is_bit_identical(model, objective):
    """The penalty's stream, its laziness and the position in an epoch of several updates of D are restored."""
    specs = [case(model, objective, seed=seed) for seed in (0, 1)]
    whole = trained(specs)[0]
    first, second = (Trainer(specs, random_batch(specs[0].image_size), CPU, F64) for _ in range(2))
    while first.step < 4:
        first.train_steps(pause=lambda: first.step == 4)
        if first.epoch_is_trained:
            first.close_epoch()
    for lane in range(2):
        second.load_state(lane, first.state(lane))
    while not second.finished:
        second.train_epoch()
    for lane in range(2):
        resumed = second.state(lane)
        for name, array in whole.state(lane).arrays.items():
            assert np.array_equal(array, resumed.arrays[name]), name


def test_objectives_differ():
    """Otherwise the equalities above would hold for a trainer that ignores losses and penalties."""
    found = [tensors(trained([case("vanilla", objective)])[0], 0)["d.1.weight"] for objective in OBJECTIVES]
    for number, one in enumerate(found):
        assert all(not torch.allclose(one, other, atol=1e-9) for other in found[:number])


def test_an_epoch_is_one_pass_with_several_updates_of_d():
    spec = case("vanilla", "wgan-gp", steps=None, epochs=2)
    trainer, epochs = trained([spec])
    assert (trainer.steps_per_epoch, trainer.images_per_step) == (64 // (4 * 5), 20)
    assert trainer.total_steps == spec.total_steps(64) == trainer.step == 6
    assert [epoch.step for epoch in epochs] == [3, 6]
    assert trainer.state(0).state["updates"] == 6
    assert trainer.group.d_adam.steps == 30


def test_reported_d_loss_includes_the_penalty():
    plain = trained([case("vanilla", "hinge", steps=1)])[1][0]
    penalized = trained([case("vanilla", "hinge", penalty="gp", steps=1)])[1][0]
    assert penalized.d_loss > plain.d_loss + 1


def test_labels_are_selected_with_their_images():
    """Each batch of a step holds the labels of its own images."""
    spec = case("vanilla", "hinge", settings={"d_steps": 2})
    data = random_batch(28)
    labelled = type(data)(data.images, torch.arange(len(data)))
    trainer = Trainer([spec], labelled, CPU, F64)
    trainer._epoch.open(0)
    batches = [batch for batch, _ in trainer._inputs()]
    assert len(batches) == 2
    for batch in batches:
        assert batch.labels.shape == (1, 4)
        assert torch.equal(batch.images, data.images[batch.labels])


@pytest.mark.parametrize("model", ["vanilla", "test-spectral"])
def test_precision_bf16_trains_with_a_penalty(model):
    spec = case(model, "wgan-gp", precision="bf16")
    trainer = Trainer([spec, case(model, "wgan-gp", precision="bf16", seed=1)], random_batch(28), CPU)
    trainer.train_epoch()
    assert not trainer.divergence()


def test_flops_count_updates_of_d_and_the_share_of_a_lazy_penalty():
    plain, twice = (step_flops(case("dcgan28", "hinge", settings={"d_steps": n})) for n in (1, 2))
    r1, lazy = (step_flops(small_spec("dcgan28", penalty="r1", settings={"r1_interval": n})) for n in (1, 4))
    base = step_flops(small_spec("dcgan28"))
    assert plain < twice < 2 * plain
    assert (r1 - base) / 4 == pytest.approx(lazy - base, abs=1)
    assert r1 > 1.3 * base
    assert step_flops(case("test-spectral", "wgan-gp"))
