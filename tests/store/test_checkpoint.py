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
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError

from gan_bench.errors import RunError
from gan_bench.record import Checkpoint
from gan_bench.store import checkpoint as pairs
from gan_bench.store import lease
from gan_bench.store.folder import RunFolder

Make = Callable[..., Checkpoint]
ARRAYS = hnp.arrays(
    st.sampled_from(["float32", "float64", "float16", "int64", "uint8", "uint64", "int32", "bool"]),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)
STATES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@contextlib.contextmanager
def held(root: Path) -> Iterator[RunFolder]:
    (root / "run").mkdir()
    folder = RunFolder(root.resolve(), "run")
    lease.take(folder.path)
    yield folder
    lease.give_back(folder.path)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    with held(tmp_path) as folder:
        yield folder


def names(folder: RunFolder) -> list[str]:
    return sorted(path.name for path in folder.path.iterdir() if path.name != ".lease.1")


def steps(folder: RunFolder, notices: list[str] | None = None) -> int | None:
    found = pairs.load(folder, "checkpoint", (notices if notices is not None else []).append)
    if found is None:
        return None
    assert found.arrays["g.w"][0, 0] == found.state["step"], "arrays and state of different steps"
    return int(found.state["step"])


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.text("abc.é", min_size=1, max_size=8), ARRAYS, max_size=4),
    st.dictionaries(st.text(max_size=8), STATES, max_size=4),
)
def test_what_is_saved_comes_back_bit_for_bit(arrays: dict[str, np.ndarray], state: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory() as root, held(Path(root)) as folder:
        pairs.save(folder, "checkpoint", Checkpoint(arrays, state))
        back = pairs.load(folder, "checkpoint", pytest.fail)
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


def test_arrays_that_do_not_lie_in_a_row_are_saved_as_they_are(folder: RunFolder) -> None:
    array = np.arange(12.0).reshape(3, 4).T[::2]
    pairs.save(folder, "checkpoint", Checkpoint({"a": array}, {}))
    back = pairs.load(folder, "checkpoint", pytest.fail)
    assert back is not None
    np.testing.assert_array_equal(back.arrays["a"], array)


def test_arrays_of_objects_are_refused(folder: RunFolder) -> None:
    with pytest.raises(SafetensorError):
        pairs.save(folder, "checkpoint", Checkpoint({"a": np.array([object()])}, {}))
    assert names(folder) == []


def test_a_state_that_json_would_change_is_refused(folder: RunFolder) -> None:
    with pytest.raises(TypeError):
        pairs.save(folder, "checkpoint", Checkpoint({}, {"by_epoch": {1: 2}}))


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "checkpoint.json"])
@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "remove", "swap"])
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(
    folder: RunFolder, make_checkpoint: Make, name: str, damage: str
) -> None:
    for step in (10, 20, 30):
        pairs.save(folder, "checkpoint", make_checkpoint(step))
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
        assert "checkpoint.json: damaged and not used" in notices[0]


def test_restoring_heals_so_that_the_next_damage_has_a_spare_too(folder: RunFolder, make_checkpoint: Make) -> None:
    for step in (10, 20):
        pairs.save(folder, "checkpoint", make_checkpoint(step))
    (folder.path / "checkpoint.safetensors").write_bytes(b"torn")
    assert pairs.restore(folder, "checkpoint", lambda _: None).state["step"] == 10  # type: ignore[union-attr]
    assert steps(folder, notices := []) == 10
    assert notices == [], "what is torn was told already"
    pairs.save(folder, "checkpoint", make_checkpoint(21))
    (folder.path / "checkpoint.safetensors").write_bytes(b"torn again")
    assert steps(folder) == 10


def test_with_both_damaged_there_is_none_and_both_are_told(folder: RunFolder, make_checkpoint: Make) -> None:
    for step in (10, 20):
        pairs.save(folder, "checkpoint", make_checkpoint(step))
    for path in folder.path.glob("*.safetensors"):
        path.write_bytes(b"torn")
    notices: list[str] = []
    assert pairs.restore(folder, "checkpoint", notices.append) is None
    assert len(notices) == 2
    pairs.save(folder, "checkpoint", make_checkpoint(30))
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
        pairs.discard(folder, "checkpoint")
        for step in (10, 20):
            pairs.save(folder, "checkpoint", make_checkpoint(step))
        left = renames
        with contextlib.suppress(Killed):
            pairs.save(folder, "checkpoint", make_checkpoint(30))
        left = 99
        found.append(steps(folder))
        restored = pairs.restore(folder, "checkpoint", lambda _: None)
        assert restored is not None
        assert restored.state["step"] == found[-1]
        pairs.save(folder, "checkpoint", make_checkpoint(40))
        assert steps(folder) == 40
    assert found == [20, 20, 20, 20, 30]


def test_a_full_disk_keeps_the_old_checkpoint_and_gives_the_room_back(
    folder: RunFolder, make_checkpoint: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs.save(folder, "checkpoint", make_checkpoint(10))
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
        pairs.save(folder, "checkpoint", make_checkpoint(20))
    assert names(folder) == before
    assert steps(folder) == 10


def test_without_a_spare_there_is_one_pair_or_none(folder: RunFolder, make_checkpoint: Make) -> None:
    for step in (10, 20):
        pairs.save(folder, "best", make_checkpoint(step), spare=False)
    assert names(folder) == ["best.json", "best.safetensors"]
    assert pairs.load(folder, "best", pytest.fail).state["step"] == 20  # type: ignore[union-attr]
    pairs.discard(folder, "best")
    assert pairs.load(folder, "best", pytest.fail) is None


def test_without_hard_links_a_spare_is_a_copy(
    folder: RunFolder, make_checkpoint: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "link", refuse)
    for step in (10, 20):
        pairs.save(folder, "checkpoint", make_checkpoint(step))
    (folder.path / "checkpoint.safetensors").write_bytes(b"torn")
    assert steps(folder) == 10
