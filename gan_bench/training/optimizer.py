"""Adam over stacked parameters, with a learning rate for each lane."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor
from torch.optim.adam import adam

from gan_bench.training.precision import copied
from gan_bench.training.state import NetState

EPS = 1e-8


class Adam:
    """PyTorch's functional Adam (arXiv 1412.6980), called once per stretch of lanes with equal learning rates.

    A stretch of lanes of a contiguous [lanes, ...] tensor is contiguous itself: one fused call updates it.
    """

    def __init__(self, net: NetState, rates: Sequence[float], beta1: float, beta2: float) -> None:
        self.net = net
        self.betas = (beta1, beta2)
        device = next(iter(net.params.values())).device
        self._stretches: list[tuple[float, slice, list[Tensor]]] = []
        start = 0
        for rate, lanes in groupby(rates):
            stop = start + len(list(lanes))
            steps = [torch.zeros((), dtype=torch.float32, device=device) for _ in net.params]
            self._stretches.append((rate, slice(start, stop), steps))
            start = stop

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        """Update the parameters in place; `gradients` [lanes, ...], of any dtype, are in the parameters' order."""
        net = self.net
        params = list(net.params.values())
        same = _laid_out(gradients, params)
        for rate, lanes, steps in self._stretches:
            adam(
                [value[lanes] for value in params],
                [value[lanes] for value in same],
                [value[lanes] for value in net.exp_avg.values()],
                [value[lanes] for value in net.exp_avg_sq.values()],
                [],
                steps,
                fused=True,
                amsgrad=False,
                beta1=self.betas[0],
                beta2=self.betas[1],
                lr=rate,
                weight_decay=0.0,
                eps=EPS,
                maximize=False,
            )

    @property
    def steps(self) -> int:
        """Number of updates made."""
        return int(self._stretches[0][2][0].item())

    @steps.setter
    def steps(self, count: int) -> None:
        for _, _, steps in self._stretches:
            for step in steps:
                step.fill_(count)


def _laid_out(gradients: Sequence[Tensor], params: Sequence[Tensor]) -> list[Tensor]:
    """Return gradients in their parameters' dtype and layout, as the fused kernel needs them."""
    pairs = zip(gradients, params, strict=True)
    same = [g if g.stride() == p.stride() else torch.empty_like(p).copy_(g) for g, p in pairs]
    dtype = params[0].dtype
    other = [index for index, gradient in enumerate(same) if gradient.dtype != dtype]
    for index, copy in zip(other, copied([same[index] for index in other], dtype), strict=True):
        same[index] = copy
    return same
