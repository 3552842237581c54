"""Stored runs for the report's tests."""

import pytest
from made_runs import realistic

from gan_bench.record import StoredRun


@pytest.fixture(scope="session")
def shared_runs(tmp_path_factory: pytest.TempPathFactory) -> list[StoredRun]:
    return realistic(tmp_path_factory.mktemp("shared"))
