"""An epoch: a permutation per lane, sums and means of measures, and resuming in the middle."""

from __future__ import annotations

import pytest
import torch
from helpers.training_cases import CPU

from gan_bench.training.epoch import Epoch
from gan_bench.training.rng import LaneRng

IMAGES, BATCH = 23, 5


def epoch_of(seeds=(0, 1), total_steps=100, d_steps=1):
    streams = [LaneRng(seed, CPU) for seed in seeds]
    return Epoch(streams, IMAGES, BATCH, d_steps, total_steps, CPU, torch.float64), streams


def read(epoch, steps):
    lanes = epoch.sums().shape[1]
    batches = [torch.empty(lanes, 0, dtype=torch.int64)]
    for step in range(steps):
        batches.append(epoch.batch_index())
        epoch.add(torch.full((4, lanes), step + 1.0, dtype=torch.float64))
        epoch.position += 1
    return torch.cat(batches, dim=1)


def test_each_lane_draws_a_permutation_of_its_own():
    epoch, _ = epoch_of()
    epoch.open(0)
    first, second = read(epoch, epoch.count)
    assert epoch.count == IMAGES // BATCH
    for lane in (first, second):
        assert len(set(lane.tolist())) == len(lane) == epoch.count * BATCH
        assert 0 <= lane.min() <= lane.max() < IMAGES
    assert first.tolist() != second.tolist()


def test_permutation_of_a_lane_equals_that_of_a_solo_run():
    together, alone = epoch_of((3, 7))[0], epoch_of((7,))[0]
    for epoch in (together, alone):
        epoch.open(0)
    assert torch.equal(read(together, 4)[1], read(alone, 4)[0])


def test_each_epoch_draws_another_permutation():
    epoch, _ = epoch_of()
    orders = []
    for start in (0, 4):
        epoch.open(start)
        orders.append(read(epoch, epoch.count))
        epoch.close()
    assert not torch.equal(*orders)


def test_last_epoch_has_the_remaining_steps():
    epoch, _ = epoch_of(total_steps=6)
    epoch.open(4)
    assert epoch.count == 2


def test_close_returns_means_over_the_steps():
    epoch, _ = epoch_of()
    epoch.open(0)
    read(epoch, epoch.count)
    assert epoch.is_trained
    assert epoch.sums().tolist() == [[10.0, 10.0]] * 4
    assert epoch.close() == [[2.5, 2.5]] * 4
    assert not epoch.is_open


def test_close_requires_all_steps():
    epoch, _ = epoch_of()
    epoch.open(0)
    read(epoch, epoch.count - 1)
    with pytest.raises(AssertionError):
        epoch.close()


def test_updates_of_d_have_disjoint_batches():
    """Two updates per step: an epoch has half the steps and reads each image once."""
    epoch, _ = epoch_of((0,), d_steps=2)
    epoch.open(0)
    assert epoch.count == IMAGES // (2 * BATCH)
    seen = []
    for _ in range(epoch.count):
        seen += [*epoch.batch_index(0)[0].tolist(), *epoch.batch_index(1)[0].tolist()]
        epoch.add(torch.zeros(4, 1, dtype=torch.float64))
    assert len(set(seen)) == len(seen) == epoch.count * 2 * BATCH


@pytest.mark.parametrize("made", [0, 1, 3, 4])
def test_resumed_epoch_equals_an_uninterrupted_one(made):
    """A checkpoint restores the remaining batches, the sums and the next permutation."""
    straight, paused = epoch_of()[0], epoch_of()[0]
    for epoch in (straight, paused):
        epoch.open(8)
        read(epoch, made)
    resumed, streams = epoch_of((5, 6))
    for lane, own in enumerate(streams):
        arrays, state = paused.lane_state(lane)
        own.restore({**own.state(), "data": torch.from_numpy(arrays["stream.data"])})
        resumed.load(lane, arrays, {**state, "step": 8 + made})
    assert (resumed.position, resumed.count) == (made, straight.count)
    for _ in range(2):
        assert torch.equal(read(straight, 4 - made), read(resumed, 4 - made))
        assert straight.close() == resumed.close()
        made = 0
        for epoch in (straight, resumed):
            epoch.open(12)


def test_state_between_epochs_is_empty():
    epoch, _ = epoch_of()
    assert epoch.lane_state(0) == ({}, {})
    epoch.open(0)
    epoch.load(0, {}, {"step": 4})
    assert not epoch.is_open
