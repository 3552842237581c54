"""Profiled steps leave no trace in a run, and their time is shared out by what was done in it."""

from __future__ import annotations

import gzip
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from training_cases import CPU, random_images, small_spec

from gan_bench.errors import InputError
from gan_bench.training import operators as kinds
from gan_bench.training import profile as module
from gan_bench.training.operators import kind_of_kernel, kind_of_operator, readable
from gan_bench.training.profile import check_profiler, profile_steps, shares
from gan_bench.training.trainer import Trainer


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENOUGH_SECONDS", 0.0)


def made(steps_before: int = 0, model: str = "vanilla", lanes: int = 1) -> Trainer:
    """Steps are 20, eight an epoch."""
    specs = [small_spec(model, seed=seed) for seed in range(lanes)]
    trainer = Trainer(specs, random_images(specs[0].image_size), CPU)
    while trainer.step < steps_before:
        trainer.train_steps(pause=lambda: trainer.step == steps_before)
        if trainer.epoch_is_trained:
            trainer.close_epoch()
    return trainer


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("steps_before", [0, 3, 7, 8, 19])
def test_profiled_steps_leave_no_trace(steps_before, lanes):
    """At the start, within an epoch, before its last step, between two, and where one step is left."""
    trainer = made(steps_before, "dcgan28", lanes)
    before = [trainer.state(lane) for lane in range(lanes)]
    profile, _ = profile_steps(trainer)
    assert profile.steps == min(3, 20 - steps_before)
    assert profile.lanes == lanes
    for lane, expected in enumerate(before):
        state = trainer.state(lane)
        assert state.state == expected.state, "the epoch's clock and place, too"
        for name, array in expected.arrays.items():
            assert np.array_equal(array, state.arrays[name]), name


def test_a_profiled_run_ends_as_an_unprofiled_one():
    plain, profiled = made(11), made(11)
    profile_steps(profiled)
    for trainer in (plain, profiled):
        while not trainer.finished:
            trainer.train_epoch()
    for name, array in plain.state(0).arrays.items():
        assert np.array_equal(array, profiled.state(0).arrays[name]), name


def test_the_parts_are_the_whole_step(model_name):
    profile, _ = profile_steps(made(model=model_name))
    parts = {share.name: share for share in profile.work}
    assert sum(share.milliseconds for share in profile.work) == pytest.approx(profile.profiled_milliseconds)
    assert profile.milliseconds > 0
    for kind in (kinds.PRODUCTS, kinds.ELEMENTWISE, kinds.OPTIMISER, kinds.DRAWS, kinds.OTHER):
        assert parts[kind].milliseconds > 0, kind
    normed = any("bn" in name or "running" in name for name in made(model=model_name).g.buffers)
    assert (parts[kinds.NORMALISATION].milliseconds > 0) == normed
    assert [share.milliseconds for share in profile.operators] == sorted(
        (share.milliseconds for share in profile.operators), reverse=True
    )
    assert parts[kinds.OPTIMISER].calls is not None
    assert parts[kinds.OPTIMISER].calls >= 2, "calls are counted a step"
    assert parts[kinds.OPTIMISER].calls < 100


def test_the_trace_is_one_that_viewers_read():
    _, trace = profile_steps(made())
    events = json.loads(gzip.decompress(trace))["traceEvents"]
    steps = {event["name"] for event in events if event["name"].startswith("ProfilerStep#")}
    assert len(steps) == 3
    assert any(event["name"] == "aten::randn" for event in events)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("aten::addmm", kinds.PRODUCTS),
        ("aten::mkldnn_convolution", kinds.PRODUCTS),
        ("mkldnn::_linear_pointwise", kinds.PRODUCTS),
        ("aten::native_batch_norm_backward", kinds.NORMALISATION),
        ("aten::leaky_relu_backward", kinds.ELEMENTWISE),
        ("aten::sum", kinds.ELEMENTWISE),
        ("aten::_fused_adam_", kinds.OPTIMISER),
        ("aten::_foreach_add_", kinds.OPTIMISER),
        ("aten::normal_", kinds.DRAWS),
        ("aten::random_", kinds.DRAWS),
        ("aten::index", kinds.DRAWS),
        ("aten::copy_", kinds.COPIES),
        ("aten::_to_copy", kinds.COPIES),
        ("aten::as_strided", kinds.OTHER),
        ("aten::_unsafe_view", kinds.OTHER),
        ("aten::t", kinds.OTHER),
        ("aten::tanh", kinds.ELEMENTWISE),
        ("ConvolutionBackward0", kinds.OTHER),
        ("autograd::engine::evaluate_function: ConvolutionBackward0", kinds.OTHER),
    ],
)
def test_operators_are_known_by_name(name, kind):
    assert kind_of_operator(name) == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("nvjet_hsh_128x256_64x4_2x1_v_bz_coopA_NNT", kinds.PRODUCTS),
        ("sm90_xmma_wgrad_implicit_gemm_indexed_bf16bf16_bf16f32_f32_nhwckrsc_nhwc", kinds.PRODUCTS),
        ("void cudnn::bn_fw_tr_1C11_kernel_NCHW<float, float, int, 512, true, 1, true>(...)", kinds.NORMALISATION),
        ("void at::native::batch_norm_backward_reduce_kernel<float, float, float, int>(...)", kinds.NORMALISATION),
        ("triton_red_fused__native_batch_norm_legit_leaky_relu_0", kinds.NORMALISATION),
        (
            "void at::native::vectorized_elementwise_kernel<4, at::native::(anonymous namespace)::"
            "leaky_relu_kernel(at::TensorIteratorBase&, c10::Scalar const&)>(...)",
            kinds.ELEMENTWISE,
        ),
        ("void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, ...>>(...)", kinds.ELEMENTWISE),
        (
            "void at::native::(anonymous namespace)::multi_tensor_apply_kernel<..., FusedAdamMathFunctor<float>>",
            kinds.OPTIMISER,
        ),
        (
            "void at::native::(anonymous namespace)::distribution_elementwise_grid_stride_kernel<float, 4>",
            kinds.DRAWS,
        ),
        ("void at::native::index_elementwise_kernel<128, 4, at::native::gpu_index_kernel<...>>(...)", kinds.DRAWS),
        ("void at::native::elementwise_kernel<128, 2, at::native::direct_copy_kernel_cuda(...)>", kinds.COPIES),
        ("void cudnn::engines_precompiled::nchwToNhwcKernel<float, float, float, false, true>(...)", kinds.COPIES),
        ("Memcpy DtoD (Device -> Device)", kinds.COPIES),
    ],
)  # fmt: skip
def test_kernels_are_known_by_name(name, kind):
    assert kind_of_kernel(name) == kind
    assert "void" not in readable(name)
    assert "at::native" not in readable(name)


def event(name: str, start: float, end: float, device: str = "CUDA", note: bool = False) -> SimpleNamespace:
    return SimpleNamespace(
        name=name,
        device_type=SimpleNamespace(name=device),
        is_user_annotation=note,
        time_range=SimpleNamespace(start=start, end=end),
        self_cpu_time_total=end - start,
    )


def test_on_a_gpu_idle_time_is_what_no_kernel_covers():
    """Two steps of 50 us: a product beside a copy of another stream, an optimiser, and launches on the CPU."""
    events = [
        event("gemm", 0, 30),
        event("Memcpy DtoD", 10, 40),
        event("FusedAdam", 60, 70),
        event("cudaLaunchKernel", 0, 90, "CPU"),
        event("ProfilerStep#1", 0, 50, note=True),
    ]
    work, operators = shares(events, 2, 0.05, gpu=True)
    took = {share.name: share.milliseconds for share in work if share.milliseconds}
    assert took == pytest.approx(
        {kinds.PRODUCTS: 0.015, kinds.COPIES: 0.015, kinds.OPTIMISER: 0.005, kinds.OTHER: 0.025}
    )
    assert [share.name for share in operators] == ["gemm", "Memcpy DtoD", "FusedAdam"]
    assert operators[0].calls == 0.5


def test_what_can_not_be_profiled_is_refused(monkeypatch):
    check_profiler(CPU)
    with pytest.raises(InputError, match="--profile: the profiler does not see mps"):
        check_profiler(torch.device("mps"))
    monkeypatch.setattr(torch.profiler, "kineto_available", lambda: False)
    with pytest.raises(InputError, match="--profile: this PyTorch was built without"):
        check_profiler(CPU)
