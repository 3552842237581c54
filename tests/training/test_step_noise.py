"""Random numbers of a step: noise, dropout masks of the right rate and scale, and a penalty's stream."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.training_cases import CPU

from gan_bench.models.dropout import Dropout
from gan_bench.training.rng import LaneRng
from gan_bench.training.step_noise import PenaltyNoise, StepNoiseSampler

BATCH, FEATURES = 500, (3, 5, 7)
"""Odd sizes: the bits of a mask end in the middle of a word."""


def drawn(p: float, seeds: tuple[int, ...], kind: str = "normal", dtype: torch.dtype = torch.float32):
    layers = [("1", Dropout(p, FEATURES)), ("4", Dropout(p, (9,)))]
    return StepNoiseSampler(kind, (BATCH, 10), layers, torch.float32, dtype)(
        [LaneRng(seed, CPU) for seed in seeds]
    )


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_masks_drop_with_probability_p_and_scale_the_rest(p, dtype):
    draws = drawn(p, (0,), dtype=dtype)
    assert draws.d_masks["1.mask"].shape == (1, 2, BATCH, *FEATURES)
    assert draws.g_masks["1.mask"].shape == (1, BATCH, *FEATURES)
    assert draws.d_masks["4.mask"].shape == (1, 2, BATCH, 9)
    for mask in (*draws.d_masks.values(), *draws.g_masks.values()):
        assert mask.dtype == dtype
        zeros = (mask == 0).double().mean().item()
        assert zeros == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / mask.numel()))
        assert mask.unique().tolist() == pytest.approx([0.0, 1 / (1 - p)], rel=4e-3)


def test_masks_are_uncorrelated():
    draws = drawn(0.5, (0,))
    real, fake = draws.d_masks["1.mask"][0]
    for one, other in ((real, fake), (real, draws.g_masks["1.mask"][0]), (real[1:], real[:-1])):
        together = torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1].item()
        assert abs(together) < 5 / math.sqrt(one.numel())


def test_draws_of_a_lane_equal_those_of_a_solo_run():
    pair, alone = drawn(0.3, (7, 8)), drawn(0.3, (8,))
    assert torch.equal(pair.noise[1], alone.noise[0])
    assert not torch.equal(pair.noise[0], pair.noise[1])
    for together, own in ((pair.d_masks, alone.d_masks), (pair.g_masks, alone.g_masks)):
        for name, mask in own.items():
            assert torch.equal(together[name][1], mask[0])
            assert not torch.equal(together[name][0], mask[0])


def test_streams_advance():
    streams = [LaneRng(0, CPU)]
    drawing = StepNoiseSampler("normal", (4, 3), [("1", Dropout(0.5, (64,)))], torch.float32, torch.float32)
    first, second = drawing(streams), drawing(streams)
    assert not torch.equal(first.noise, second.noise)
    assert not torch.equal(first.d_masks["1.mask"], second.d_masks["1.mask"])


def test_noise_is_normal_or_uniform():
    assert drawn(0.3, (0,)).noise.std().item() == pytest.approx(1, abs=0.05)
    uniform = drawn(0.3, (0,), kind="uniform").noise
    assert uniform.min() >= -1
    assert uniform.max() <= 1
    assert uniform.std().item() == pytest.approx(1 / math.sqrt(3), abs=0.03)


def test_state_of_another_kind_of_device_becomes_a_seed():
    """A GPU's state has another size; equal states give equal numbers."""

    def drawn(byte: int) -> torch.Tensor:
        streams = LaneRng(0, CPU)
        streams.restore({name: torch.full((16,), byte, dtype=torch.uint8) for name in streams.state()})
        return torch.rand(8, generator=streams["noise"])

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_update_of_d_without_g_draws_no_masks_for_g():
    layers = [("1", Dropout(0.5, (64,)))]
    draw = StepNoiseSampler("normal", (4, 3), layers, torch.float32, torch.float32)
    assert draw([LaneRng(0, CPU)], updates_g=False).g_masks == {}


def test_loss_with_real_logits_in_g_gets_masks_for_both():
    layers = [("1", Dropout(0.5, (64,)))]
    draw = StepNoiseSampler("normal", (4, 3), layers, torch.float32, torch.float32, real_in_generator=True)
    assert draw([LaneRng(0, CPU)]).g_masks["1.mask"].shape == (1, 2, 4, 64)


def test_penalty_draws_from_a_stream_of_its_own():
    """Each lane's numbers are those of a solo run, and no other stream advances."""
    pair, alone = [LaneRng(7, CPU), LaneRng(8, CPU)], [LaneRng(8, CPU)]
    layers = [("1", Dropout(0.5, (64,)))]
    before = pair[1].state()
    for draw in (
        lambda noise: noise.uniform((5, 1)),
        lambda noise: noise.normal((5, 1)),
        lambda noise: noise.masks(5)["1.mask"],
    ):
        both, single = (draw(PenaltyNoise(rngs, layers, torch.float32, torch.float32)) for rngs in (pair, alone))
        assert both.shape[:2] == (2, 5)
        assert torch.equal(both[1], single[0])
        assert not torch.equal(both[0], both[1])
    after = pair[1].state()
    assert {name for name in after if not torch.equal(before[name], after[name])} == {"penalty"}
