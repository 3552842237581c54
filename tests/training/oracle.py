"""The reference: a plain textbook GAN loop with torch.optim, short enough to read at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from gan_bench.models.model import build_model
from gan_bench.spec import RunSpec
from gan_bench.training.draws import Drawing
from gan_bench.training.state import dropouts
from gan_bench.training.streams import Streams

F64 = torch.float64


def textbook(spec: RunSpec, images: Tensor, start: dict[str, dict[str, Tensor]], steps: int) -> tuple[dict, list]:
    """Train in float64 from the given weights; return final tensors of both networks and each step's losses.

    It runs where the images [N, C, H, W] are.
    """
    model, device = build_model(spec), images.device
    g, d = model.generator().to(device, F64), model.discriminator().to(device, F64)
    for net, weights in ((g, start["g"]), (d, start["d"])):
        net.load_state_dict(weights)
    betas = (model.recipe.beta1, model.recipe.beta2)
    g_adam = torch.optim.Adam(g.parameters(), lr=spec.lr_g, betas=betas)
    d_adam = torch.optim.Adam(d.parameters(), lr=spec.lr_d, betas=betas)
    streams, size, losses = Streams(spec.seed, device), spec.batch_size, []
    drawing = Drawing(model.recipe.noise, (size, model.recipe.z_dim), dropouts(d), F64, F64)
    per_epoch = len(images) // size
    for step in range(steps):
        if step % per_epoch == 0:
            order = torch.randperm(len(images), generator=streams["data"], device=device)
        first = step % per_epoch * size
        real = images[order[first : first + size]].to(F64) / 127.5 - 1
        draws = drawing([streams])

        fake = g(draws.noise[0])
        d_adam.zero_grad()
        set_masks(d, {name: pair[0, 0] for name, pair in draws.d_masks.items()})
        real_logits = d(real)
        set_masks(d, {name: pair[0, 1] for name, pair in draws.d_masks.items()})
        fake_logits = d(fake.detach())
        d_loss = bce(real_logits, torch.ones_like(real_logits)) + bce(fake_logits, torch.zeros_like(fake_logits))
        d_loss.backward()
        d_adam.step()

        g_adam.zero_grad()
        set_masks(d, {name: mask[0] for name, mask in draws.g_masks.items()})
        logits = d(fake)
        g_loss = bce(logits, torch.ones_like(logits))
        g_loss.backward()
        g_adam.step()
        losses.append((d_loss.item(), g_loss.item()))
    return {"g": g.state_dict(), "d": d.state_dict()}, losses


def set_masks(d: nn.Module, masks: dict[str, Tensor]) -> None:
    for name, mask in masks.items():
        d.get_submodule(name.removesuffix(".mask")).mask = mask
