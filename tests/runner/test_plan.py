"""Planning: what is said before anything is trained."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from helpers.events import notices_into
from helpers.whole_runs import Trial

import gan_bench as gb


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"batch_size": 300},
         ["--batch-size 300: each epoch leaves out 212 of the 512 training images of synthetic "
          "(41%, others each time), which fill no step; --batch-size 256 leaves out 0"]),
        ({"batch_size": 128}, []),
        ({"batch_size": 500}, []),
        ({"batch_size": 60, "settings": {"width": 0.0625, "d_steps": 5}, "seeds": (0, 1)},
         ["--batch-size 60: each epoch leaves out 212 of the 512 training images of synthetic "
          "(41%, others each time), which fill no step; --batch-size 51 leaves out 2"]),
    ],
)  # fmt: skip
def test_training_images_that_an_epoch_leaves_out_are_reported(
    trial: Callable[..., Trial], changes: dict[str, object], expected: list[str]
) -> None:
    tried = trial(**changes)
    notices: list[str] = []
    gb.plan(tried.matrix, tried.options, notices_into(notices))
    assert [text for text in notices if "leaves out" in text] == expected
