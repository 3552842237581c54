"""Closed standard streams are replaced before anything else gets their numbers."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest

CODE = """
import os, sys
from gan_bench.core.standard_streams import open_standard_streams
open_standard_streams()
reader, writer = os.pipe()
assert min(reader, writer) > 2, (reader, writer)
print("lost", file=sys.stdout, flush=True)
print("lost", file=sys.stderr, flush=True)
assert sys.stdin is not None
os.write(writer, b"kept")
assert os.read(reader, 9) == b"kept"
os._exit(7)
"""
STREAMS = ("<&-", ">&-", "2>&-")


@pytest.mark.parametrize(
    "closed", [each for n in range(4) for each in itertools.combinations(STREAMS, n)], ids=str
)
def test_no_pipe_gets_the_number_of_a_closed_standard_stream(closed: tuple[str, ...]) -> None:
    command = f'"$0" -c "$1" {" ".join(closed)}'
    assert subprocess.run(["sh", "-c", command, sys.executable, CODE], check=False, timeout=60).returncode == 7
