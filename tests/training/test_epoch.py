"""An epoch by itself: every image once a lane, sums and means, and a pause that leaves no trace."""

from __future__ import annotations

import pytest
import torch
from training_cases import CPU

from gan_bench.training.epoch import Epoch
from gan_bench.training.streams import Streams

IMAGES, BATCH = 23, 5


def epoch_of(seeds=(0, 1), total_steps=100):
    streams = [Streams(seed, CPU) for seed in seeds]
    return Epoch(streams, IMAGES, BATCH, total_steps, CPU, torch.float64), streams


def read(epoch, steps):
    lanes = epoch.sums().shape[1]
    batches = [torch.empty(lanes, 0, dtype=torch.int64)]
    for step in range(steps):
        batches.append(epoch.next_batch())
        epoch.add_(torch.full((4, lanes), step + 1.0, dtype=torch.float64))
        epoch.position += 1
    return torch.cat(batches, dim=1)


def test_no_image_comes_twice_and_lanes_have_orders_of_their_own():
    epoch, _ = epoch_of()
    epoch.open(0)
    first, second = read(epoch, epoch.count)
    assert epoch.count == IMAGES // BATCH
    for lane in (first, second):
        assert len(set(lane.tolist())) == len(lane) == epoch.count * BATCH
        assert 0 <= lane.min() <= lane.max() < IMAGES
    assert first.tolist() != second.tolist()


def test_a_lanes_order_is_what_it_would_be_alone():
    together, alone = epoch_of((3, 7))[0], epoch_of((7,))[0]
    for epoch in (together, alone):
        epoch.open(0)
    assert torch.equal(read(together, 4)[1], read(alone, 4)[0])


def test_the_next_epoch_has_another_order():
    epoch, _ = epoch_of()
    orders = []
    for start in (0, 4):
        epoch.open(start)
        orders.append(read(epoch, epoch.count))
        epoch.close()
    assert not torch.equal(*orders)


def test_the_last_epoch_has_what_is_left():
    epoch, _ = epoch_of(total_steps=6)
    epoch.open(4)
    assert epoch.count == 2


def test_means_are_of_the_steps_made():
    epoch, _ = epoch_of()
    epoch.open(0)
    read(epoch, epoch.count)
    assert epoch.is_trained
    assert epoch.sums().tolist() == [[10.0, 10.0]] * 4
    assert epoch.close() == [[2.5, 2.5]] * 4
    assert not epoch.is_open


def test_an_epoch_is_not_closed_half_way():
    epoch, _ = epoch_of()
    epoch.open(0)
    read(epoch, epoch.count - 1)
    with pytest.raises(AssertionError):
        epoch.close()


@pytest.mark.parametrize("made", [0, 1, 3, 4])
def test_a_pause_leaves_no_trace(made):
    """What a checkpoint keeps of an epoch is enough for its rest, its sums and the order of the next."""
    straight, paused = epoch_of()[0], epoch_of()[0]
    for epoch in (straight, paused):
        epoch.open(8)
        read(epoch, made)
    resumed, streams = epoch_of((5, 6))
    for lane, own in enumerate(streams):
        arrays, state = paused.state(lane)
        own.load({**own.state(), "data": torch.from_numpy(arrays["stream.data"])})
        resumed.load_(lane, arrays, {**state, "step": 8 + made})
    assert (resumed.position, resumed.count) == (made, straight.count)
    for _ in range(2):
        assert torch.equal(read(straight, 4 - made), read(resumed, 4 - made))
        assert straight.close() == resumed.close()
        made = 0
        for epoch in (straight, resumed):
            epoch.open(12)


def test_between_epochs_there_is_nothing_to_keep():
    epoch, _ = epoch_of()
    assert epoch.state(0) == ({}, {})
    epoch.open(0)
    epoch.load_(0, {}, {"step": 4})
    assert not epoch.is_open
