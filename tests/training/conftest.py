"""Every registered model in turn."""

from __future__ import annotations

import pytest

from gan_bench.models.model import models


@pytest.fixture(params=models.names())
def model_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name
