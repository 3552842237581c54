"""Checkpoints: bit-identical, and after damage, a kill or a full disk the newest intact one is loaded."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from helpers.events import notices_into
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError

from gan_bench.core.errors import RunError
from gan_bench.core.records import Checkpoint
from gan_bench.store import checkpoints, leases
from gan_bench.store.run_folder import RunFolder

Make = Callable[..., Checkpoint]
ARRAYS = hnp.arrays(
    st.sampled_from(["float32", "float64", "float16", "int64", "uint8", "uint64", "int32", "bool"]),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)
STATES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@contextlib.contextmanager
def held(root: Path) -> Iterator[RunFolder]:
    (root / "run").mkdir()
    folder = RunFolder(root.resolve(), "run")
    leases.take(folder.path)
    yield folder
    leases.release(folder.path)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    with held(tmp_path) as folder:
        yield folder


def names(folder: RunFolder) -> list[str]:
    return sorted(path.name for path in folder.path.iterdir() if path.name != ".lease.1")


def steps(folder: RunFolder, notices: list[str] | None = None) -> int | None:
    found = checkpoints.load(folder, "checkpoint", notices_into(notices if notices is not None else []))
    if found is None:
        return None
    assert found.arrays["g.w"][0, 0] == found.state["step"], "arrays and state of different steps"
    return int(found.state["step"])


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.text("abc.é", min_size=1, max_size=8), ARRAYS, max_size=4),
    st.dictionaries(st.text(max_size=8), STATES, max_size=4),
)
def test_a_checkpoint_loads_bit_identical(arrays: dict[str, np.ndarray], state: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory() as root, held(Path(root)) as folder:
        checkpoints.save(folder, "checkpoint", Checkpoint(arrays, state))
        back = checkpoints.load(folder, "checkpoint", pytest.fail)
    assert back is not None
    assert repr(back.state) == repr(dict(sorted(state.items()))) or repr(sorted_(back.state)) == repr(
        sorted_(state)
    )
    assert back.arrays.keys() == arrays.keys()
    for key, array in arrays.items():
        assert back.arrays[key].dtype == array.dtype
        assert back.arrays[key].shape == array.shape
        assert back.arrays[key].tobytes() == array.tobytes()
        assert back.arrays[key].flags.writeable


def sorted_(value: object) -> object:
    if isinstance(value, dict):
        return {key: sorted_(value[key]) for key in sorted(value)}
    return [sorted_(item) for item in value] if isinstance(value, list) else value


def test_arrays_that_are_not_contiguous_load_equal(folder: RunFolder) -> None:
    array = np.arange(12.0).reshape(3, 4).T[::2]
    checkpoints.save(folder, "checkpoint", Checkpoint({"a": array}, {}))
    back = checkpoints.load(folder, "checkpoint", pytest.fail)
    assert back is not None
    np.testing.assert_array_equal(back.arrays["a"], array)


def test_arrays_of_objects_are_refused(folder: RunFolder) -> None:
    with pytest.raises(SafetensorError):
        checkpoints.save(folder, "checkpoint", Checkpoint({"a": np.array([object()])}, {}))
    assert names(folder) == []


def test_a_state_with_keys_that_are_not_text_is_refused(folder: RunFolder) -> None:
    with pytest.raises(TypeError):
        checkpoints.save(folder, "checkpoint", Checkpoint({}, {"by_epoch": {1: 2}}))


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "checkpoint.json"])
@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "remove", "swap"])
def test_the_previous_checkpoint_is_loaded_where_the_newest_is_damaged(
    folder: RunFolder, make_checkpoint: Make, name: str, damage: str
) -> None:
    for step in (10, 20, 30):
        checkpoints.save(folder, "checkpoint", make_checkpoint(step))
    path = folder.path / name
    data = bytearray(path.read_bytes())
    if damage == "truncate":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "flip":
        at = data.index(b'"step": 30') + 9 if name.endswith("json") else len(data) - 3
        data[at] ^= 1
        path.write_bytes(data)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "remove":
        path.unlink()
    else:
        path.write_bytes((folder.path / name.replace("checkpoint", "checkpoint.previous")).read_bytes())
    notices: list[str] = []
    assert steps(folder, notices) == 20
    if (name, damage) not in [("checkpoint.json", "remove"), ("checkpoint.json", "swap")]:
        assert "checkpoint.json: damaged, not used" in notices[0]


def test_restore_repairs_the_newest_checkpoint(folder: RunFolder, make_checkpoint: Make) -> None:
    for step in (10, 20):
        checkpoints.save(folder, "checkpoint", make_checkpoint(step))
    (folder.path / "checkpoint.safetensors").write_bytes(b"torn")
    assert checkpoints.restore(folder, "checkpoint", lambda _: None).state["step"] == 10  # type: ignore[union-attr]
    assert steps(folder, notices := []) == 10
    assert notices == [], "the damaged pair was replaced"
    checkpoints.save(folder, "checkpoint", make_checkpoint(21))
    (folder.path / "checkpoint.safetensors").write_bytes(b"torn again")
    assert steps(folder) == 10


def test_two_damaged_checkpoints_give_none_and_two_notices(folder: RunFolder, make_checkpoint: Make) -> None:
    for step in (10, 20):
        checkpoints.save(folder, "checkpoint", make_checkpoint(step))
    for path in folder.path.glob("*.safetensors"):
        path.write_bytes(b"torn")
    notices: list[str] = []
    assert checkpoints.restore(folder, "checkpoint", notices_into(notices)) is None
    assert len(notices) == 2
    checkpoints.save(folder, "checkpoint", make_checkpoint(30))
    assert steps(folder) == 30


class Killed(BaseException):
    pass


def test_a_kill_before_any_rename_leaves_the_old_or_the_new_checkpoint(
    folder: RunFolder, make_checkpoint: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace
    left = 0

    def dying(self: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", dying)
    found = []
    for renames in range(5):
        left = 99
        checkpoints.discard(folder, "checkpoint")
        for step in (10, 20):
            checkpoints.save(folder, "checkpoint", make_checkpoint(step))
        left = renames
        with contextlib.suppress(Killed):
            checkpoints.save(folder, "checkpoint", make_checkpoint(30))
        left = 99
        found.append(steps(folder))
        restored = checkpoints.restore(folder, "checkpoint", lambda _: None)
        assert restored is not None
        assert restored.state["step"] == found[-1]
        checkpoints.save(folder, "checkpoint", make_checkpoint(40))
        assert steps(folder) == 40
    assert found == [20, 20, 20, 20, 30]


def test_a_full_disk_keeps_the_old_checkpoint_and_no_temporary_file(
    folder: RunFolder, make_checkpoint: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints.save(folder, "checkpoint", make_checkpoint(10))
    before = names(folder)
    fsync, calls = os.fsync, 0

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="no space left"):
        checkpoints.save(folder, "checkpoint", make_checkpoint(20))
    assert names(folder) == before
    assert steps(folder) == 10


def test_without_a_spare_there_is_one_pair_or_none(folder: RunFolder, make_checkpoint: Make) -> None:
    for step in (10, 20):
        checkpoints.save(folder, "best", make_checkpoint(step), spare=False)
    assert names(folder) == ["best.json", "best.safetensors"]
    assert checkpoints.load(folder, "best", pytest.fail).state["step"] == 20  # type: ignore[union-attr]
    checkpoints.discard(folder, "best")
    assert checkpoints.load(folder, "best", pytest.fail) is None


def test_without_hard_links_a_spare_is_a_copy(
    folder: RunFolder, make_checkpoint: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "link", refuse)
    for step in (10, 20):
        checkpoints.save(folder, "checkpoint", make_checkpoint(step))
    (folder.path / "checkpoint.safetensors").write_bytes(b"torn")
    assert steps(folder) == 10
