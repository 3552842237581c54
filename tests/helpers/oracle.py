"""The textbook loop: GAN training with torch.optim, `backward` and plain formulas, as a reference in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import cross_entropy

from gan_bench.core.training_spec import TrainingSpec
from gan_bench.models.base import build_model
from gan_bench.training.rng import LaneRng
from gan_bench.training.state import dropouts
from gan_bench.training.step_noise import PenaltyNoise, StepNoiseSampler

F64 = torch.float64

LOSSES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor | None, Tensor], Tensor]]] = {
    "bce": (
        lambda real, fake: bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake)),
        lambda real, fake: bce(fake, torch.ones_like(fake)),
    ),
    "hinge": (
        lambda real, fake: (1 - real).clamp(min=0).mean() + (1 + fake).clamp(min=0).mean(),
        lambda real, fake: -fake.mean(),
    ),
    "lsgan": (
        lambda real, fake: (((real - 1) ** 2).mean() + (fake**2).mean()) / 2,
        lambda real, fake: ((fake - 1) ** 2).mean() / 2,
    ),
    "minimax": (
        lambda real, fake: -(real.sigmoid().log().mean() + (1 - fake.sigmoid()).log().mean()),
        lambda real, fake: (1 - fake.sigmoid()).log().mean(),
    ),
    "ragan": (
        lambda real, fake: bce(real - fake.mean(), torch.ones_like(real)) + bce(fake - real.mean(), 0 * fake),
        lambda real, fake: bce(fake - real.mean(), torch.ones_like(fake)) + bce(real - fake.mean(), 0 * real),
    ),
    "relativistic": (
        lambda real, fake: bce(real - fake, torch.ones_like(real)),
        lambda real, fake: bce(fake - real, torch.ones_like(fake)),
    ),
    "wgan": (lambda real, fake: fake.mean() - real.mean(), lambda real, fake: -fake.mean()),
    "wgan-gp": (lambda real, fake: fake.mean() - real.mean(), lambda real, fake: -fake.mean()),
    "test-relativistic": (
        lambda real, fake: bce(real - fake, torch.ones_like(real)),
        lambda real, fake: bce(fake - real, torch.ones_like(fake)),
    ),
}
"""For D and for G, as functions of logits [B] of real and of fake images."""
REAL_IN_GENERATOR = {"ragan", "relativistic", "test-relativistic"}


def gradient_norms(d: WithLabels, points: Tensor, noise: PenaltyNoise) -> Tensor:
    """||grad D|| at each of the points [B, ...], with dropout masks of their own."""
    points = points.clone().requires_grad_()
    set_masks(d, {name: mask[0] for name, mask in noise.masks(len(points)).items()})
    (gradients,) = torch.autograd.grad(d(points).sum(), points, create_graph=True)
    return (gradients.flatten(1) ** 2).sum(1).sqrt()


def gp(d: WithLabels, real: Tensor, fake: Tensor, noise: PenaltyNoise, settings: Mapping[str, Any]) -> Tensor:
    """10 (||grad D|| - 1)^2 between real and fake images, as in arXiv 1704.00028."""
    mix = noise.uniform((len(real), 1, 1, 1))[0]
    excess = gradient_norms(d, mix * real + (1 - mix) * fake, noise) - 1
    if settings["gp_one_sided"]:
        excess = torch.where(excess > 0, excess, 0)
    return settings["gp_weight"] * (excess**2).mean()


def r1(d: WithLabels, real: Tensor, fake: Tensor, noise: PenaltyNoise, settings: Mapping[str, Any]) -> Tensor:
    """gamma / 2 ||grad D||^2 at real images, as in arXiv 1801.04406."""
    return settings["r1_weight"] / 2 * (gradient_norms(d, real, noise) ** 2).mean()


def r2(d: WithLabels, real: Tensor, fake: Tensor, noise: PenaltyNoise, settings: Mapping[str, Any]) -> Tensor:
    """gamma / 2 ||grad D||^2 at fake images, as in arXiv 1801.04406."""
    return settings["r2_weight"] / 2 * (gradient_norms(d, fake, noise) ** 2).mean()


def dragan(d: WithLabels, real: Tensor, fake: Tensor, noise: PenaltyNoise, settings: Mapping[str, Any]) -> Tensor:
    """10 (||grad D|| - 1)^2 on the way to images with noise of half a standard deviation (arXiv 1705.07215)."""
    noisy = real + settings["dragan_noise"] * real.std(correction=0) * noise.uniform(tuple(real.shape))[0]
    mix = noise.uniform((len(real), 1, 1, 1))[0]
    norms = gradient_norms(d, (1 - mix) * real + mix * noisy, noise)
    return settings["dragan_weight"] * ((norms - 1) ** 2).mean()


PENALTIES = {"gp": gp, "r1": r1, "r2": r2, "dragan": dragan}


def penalty_of(spec: TrainingSpec) -> tuple[int, Callable[[WithLabels, Tensor, Tensor, PenaltyNoise], Tensor]]:
    """The interval and the formula of a spec's penalty, or of the sum of its penalties."""
    names, settings = spec.penalty.split("+"), spec.settings
    return settings.get(f"{names[0]}_interval", 1), lambda d, real, fake, noise: sum(
        PENALTIES[name](d, real, fake, noise, settings) for name in names
    )


class WithLabels:
    """D as a function of images with given labels: logits [B], and class logits of each call in `classes`."""

    def __init__(self, d: nn.Module, labels: tuple[Tensor, ...], classifies: bool) -> None:
        self.d, self.labels, self.classifies = d, () if classifies else labels, classifies
        self.get_submodule = d.get_submodule
        self.classes: list[Tensor] = []

    def __call__(self, images: Tensor) -> Tensor:
        outputs = self.d(images, *self.labels)
        if not self.classifies:
            return outputs
        self.classes.append(outputs[:, 1:])
        return outputs[:, 0]


def textbook(
    spec: TrainingSpec,
    images: Tensor,
    start: dict[str, dict[str, Tensor]],
    steps: int,
    labels: Tensor | None = None,
) -> tuple[dict, list]:
    """Train in float64 from the given weights; return final tensors of both networks and each step's losses.

    It runs on the device of the images [N, C, H, W]; a conditional model needs labels [N].
    """
    model, device = build_model(spec), images.device
    g, d = model.generator().to(device, F64), model.discriminator().to(device, F64)
    for net, weights in ((g, start["g"]), (d, start["d"])):
        net.load_state_dict(weights)
    betas = (model.recipe.beta1, model.recipe.beta2)
    g_adam = torch.optim.Adam(g.parameters(), lr=spec.lr_g, betas=betas)
    d_adam = torch.optim.Adam(d.parameters(), lr=spec.lr_d, betas=betas)
    d_formula, g_formula = LOSSES[spec.loss]
    interval, penalty = penalty_of(spec)
    streams, size, d_steps, losses = LaneRng(spec.seed, device), spec.batch_size, model.recipe.d_steps, []
    shape, needs_real = (size, model.recipe.z_dim), spec.loss in REAL_IN_GENERATOR
    draw = StepNoiseSampler(model.recipe.noise, shape, dropouts(d), F64, F64, needs_real)
    penalty_noise = PenaltyNoise([streams], dropouts(d), F64, F64)
    per_epoch, updates = len(images) // (size * d_steps), 0
    for step in range(steps):
        if step % per_epoch == 0:
            order = torch.randperm(len(images), generator=streams["data"], device=device)
        d_losses = []
        for d_step in range(d_steps):
            first = (step % per_epoch * d_steps + d_step) * size
            real = images[order[first : first + size]].to(F64) / 127.5 - 1
            given = (labels[order[first : first + size]],) if model.conditional else ()
            called = WithLabels(d, given, model.class_weight is not None)
            noise = draw([streams], updates_g=d_step == d_steps - 1)

            fake = g(noise.noise[0], *given)
            d_adam.zero_grad()
            d_loss = d_formula(*logits(called, real, fake.detach(), noise.d_masks))
            if called.classifies:
                d_loss = d_loss + model.class_weight * sum(cross_entropy(each, *given) for each in called.classes)
            if spec.penalty != "none" and updates % interval == 0:
                d_loss = d_loss + interval * penalty(called, real, fake.detach(), penalty_noise)
            d_loss.backward()
            d_adam.step()
            if spec.loss == "wgan":
                with torch.no_grad():
                    for weight in d.parameters():
                        weight.clamp_(-spec.settings["wgan_clip"], spec.settings["wgan_clip"])
            d_losses.append(d_loss.item())
            updates += 1

        g_adam.zero_grad()
        if needs_real:
            g_loss = g_formula(*logits(called, real, fake, noise.g_masks))
        else:
            set_masks(d, {name: mask[0] for name, mask in noise.g_masks.items()})
            g_loss = g_formula(None, called(fake))
        if called.classifies:  # of the fakes, the last images that D was called on
            g_loss = g_loss + model.class_weight * cross_entropy(called.classes[-1], *given)
        g_loss.backward()
        g_adam.step()
        losses.append((sum(d_losses) / d_steps, g_loss.item()))
    return {"g": g.state_dict(), "d": d.state_dict()}, losses


def logits(d: WithLabels, real: Tensor, fake: Tensor, masks: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """D's logits [B] of real and of fake images, with masks [1, 2, B, ...]."""
    set_masks(d, {name: pair[0, 0] for name, pair in masks.items()})
    real_logits = d(real)
    set_masks(d, {name: pair[0, 1] for name, pair in masks.items()})
    return real_logits, d(fake)


def set_masks(d: nn.Module | WithLabels, masks: dict[str, Tensor]) -> None:
    for name, mask in masks.items():
        d.get_submodule(name.removesuffix(".mask")).mask = mask
