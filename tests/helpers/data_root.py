"""The folder of the data sets that tests use where they are available."""

from __future__ import annotations

import os
from pathlib import Path

DATA_ROOT = Path(os.environ.get("GAN_BENCH_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
