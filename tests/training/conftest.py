"""Every registered model in turn, and models and losses as plugins define them."""

from __future__ import annotations

import pytest
from helpers.plugin_models import MODELS, Relativistic

from gan_bench.losses.base import losses
from gan_bench.models.base import models


@pytest.fixture(params=models.names())
def model_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the plugins of the helpers during a test."""
    for registry in (models, losses):
        registry.names()  # discover built-ins first
        monkeypatch.setattr(registry, "_objects", dict(registry._objects))
    for name, model in MODELS.items():
        models.register(name)(model)
    losses.register("test-relativistic")(Relativistic)
