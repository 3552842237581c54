"""Fixtures of the report's tests."""

import pytest
from helpers.made_runs import realistic

from gan_bench.core.records import StoredRun


@pytest.fixture(scope="session")
def shared_runs(tmp_path_factory: pytest.TempPathFactory) -> list[StoredRun]:
    return realistic(tmp_path_factory.mktemp("shared"))
