"""Opening a results folder: what is refused, and why."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from gan_bench.cli import main
from gan_bench.core.errors import InputError, RunError
from gan_bench.store.store import Store


@pytest.mark.parametrize(
    ("number", "existing", "kind"),
    [
        (errno.EROFS, False, InputError),
        (errno.EACCES, False, InputError),
        (errno.EROFS, True, RunError),
        (errno.ENOSPC, False, RunError),
        (errno.ENOSPC, True, RunError),
        (errno.EMFILE, False, RunError),
    ],
)
def test_an_unwritable_new_folder_is_an_input_error_and_a_disk_error_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, existing: bool, kind: type[Exception]
) -> None:
    root = tmp_path / "out"
    if existing:
        Store.open(root, create=True)
    before = [path.name for path in root.glob("*") if path.is_file()]

    def refuse(*args: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(kind, match=os.strerror(number).lower()):
        Store.open(root, create=True)
    assert [path.name for path in root.glob("*") if path.is_file()] == before


def test_open_refuses_unusable_folders_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="it is a file"):
        Store.open(tmp_path / "file", create=True)
    with pytest.raises(InputError, match="not writable"):
        Store.open(tmp_path / "file" / "below", create=True)
    with pytest.raises(InputError, match="gan-bench run --out"):
        Store.open(tmp_path / "none", create=False)
    assert not (tmp_path / "none").exists()
    for mark, message in [
        ('{"schema_version": 3}', "newer gan_bench"),
        ("{", "can't be read"),
        ("[]", "can't be read"),
    ]:
        root = tmp_path / "marked"
        root.mkdir(exist_ok=True)
        (root / "store.json").write_text(mark)
        for create in (True, False):
            with pytest.raises(InputError, match=message):
                Store.open(root, create=create)
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "runs").symlink_to(tmp_path)
    with pytest.raises(InputError, match="is a link that leads out"):
        Store.open(linked, create=True)


def test_a_schema_1_folder_is_one_clear_line_with_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "store.json").write_text('{"schema_version": 1}')
    for create in (True, False):
        with pytest.raises(InputError) as caught:
            Store.open(tmp_path, create=create)
        assert caught.value.exit_code == 2
        assert str(caught.value) == (
            f"results folder {tmp_path}: written by an earlier gan_bench (schema 1; this one reads 2); "
            "choose another --out, or use the version that wrote it"
        )
    assert json.loads((tmp_path / "store.json").read_text()) == {"schema_version": 1}


@pytest.mark.parametrize("command", ["status", "report"])
def test_commands_refuse_a_schema_1_folder_in_one_line(tmp_path: Path, command: str) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "store.json").write_text('{"schema_version": 1}')
    done = CliRunner().invoke(main, [command, str(tmp_path)])
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.strip().splitlines()
    assert "written by an earlier gan_bench (schema 1; this one reads 2); choose another --out" in line
