"""Cache of real features and reference scores."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from helpers.evaluators import make_evaluator, values_of

from gan_bench.core import cache_folder, private_folder
from gan_bench.core.events import ignore_events
from gan_bench.core.private_folder import distrust, make_private
from gan_bench.data.base import ImageData
from gan_bench.metrics import score_cache
from gan_bench.metrics.evaluator import Evaluator
from gan_bench.metrics.extractors.base import Extractor
from gan_bench.metrics.score_cache import ScoreCache


def test_reference_splits_do_not_share_cache_entries(synthetic: ImageData, tmp_path: Path) -> None:
    values: dict[str, object] = {"extractors": ("mnist-cnn",), "metrics": ("kid",)}
    images = synthetic.train[:256]
    first = [make_evaluator(synthetic, tmp_path, **values, reference_split=split) for split in ("test", "train")]
    scores = [made.score(images, epoch=1, step=1)[0] for made in first]
    assert len({(score.value, score.real_reference, score.noise_reference) for score in scores}) == 2
    fresh = make_evaluator(synthetic, tmp_path / "fresh", **values, reference_split="train")
    assert fresh.score(images, epoch=1, step=1)[0] == scores[1]


@pytest.mark.parametrize("batch_norm", ["batch", "standing"])
def test_batch_norm_statistics_are_part_of_the_protocol_but_not_of_the_cache_key(
    batch_norm: str, evaluator: Evaluator, synthetic: ImageData, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_evaluator(synthetic, cache, batch_norm=batch_norm)
    with monkeypatch.context() as patch:
        patch.setattr(Extractor, "__call__", lambda *a: pytest.fail("features were recomputed"))
        made.prepare()
    images = synthetic.train[:256]
    scores, running = (e.score(images, epoch=1, step=1) for e in (made, evaluator))
    assert scores[0].protocol.batch_norm == made.spec.batch_norm_protocol != "running"
    assert scores[0].protocol.protocol_id != running[0].protocol.protocol_id
    assert values_of(scores) == values_of(running)


def test_real_features_and_references_are_cached(
    synthetic: ImageData, cache: Path, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = evaluator.score(synthetic.train[:256], epoch=1, step=1)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert {path.suffix for path in cache.iterdir() if path.is_file()} == {".safetensors"}
    again = make_evaluator(synthetic, cache)
    with monkeypatch.context() as patch:
        patch.setattr(Extractor, "__call__", lambda *a: pytest.fail("features were recomputed"))
        calls: list[tuple[int, int]] = []
        again.prepare(lambda done, total: calls.append((done, total)))
    assert calls[-1] == (3 * 256, 3 * 256)
    assert again.score(synthetic.train[:256], epoch=1, step=1) == expected


def test_damaged_cache_files_are_recomputed(synthetic: ImageData, cache: Path, tmp_path: Path) -> None:
    spec: dict[str, object] = {"extractors": ("mnist-cnn",), "metrics": ("fid",)}
    expected = make_evaluator(synthetic, tmp_path, **spec).score(synthetic.train[:256], epoch=1, step=1)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-20])
    assert make_evaluator(synthetic, tmp_path, **spec).score(synthetic.train[:256], epoch=1, step=1) == expected


def test_unwritable_cache_gives_one_notice_and_scores(
    synthetic: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> Path:
        raise PermissionError("read-only")

    monkeypatch.setattr(score_cache, "make_private", refuse)
    notices: list[str] = []
    made = make_evaluator(synthetic, tmp_path / "cache", notices, extractors=("mnist-cnn",), metrics=("is",))
    made.score(synthetic.train[:256], epoch=1, step=1)
    assert len([text for text in notices if "not writable" in text]) == 1


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files."""
    folder = make_private(tmp_path / "temporary")
    monkeypatch.setattr(private_folder.tempfile, "gettempdir", lambda: str(folder))
    private_folder.private_temporary.cache_clear()
    yield folder
    private_folder.private_temporary.cache_clear()


def test_what_others_could_have_planted_in_a_cache_is_not_read(
    synthetic: ImageData, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec: dict[str, object] = {"extractors": ("mnist-cnn",), "metrics": ("fid",)}
    planted = tmp_path / "planted"
    make_evaluator(synthetic, planted, **spec).prepare()
    planted.chmod(0o777)
    before = {path: path.read_bytes() for path in planted.iterdir()}
    forged = {"fid": torch.tensor(0.0)}
    monkeypatch.setattr(ScoreCache, "load", lambda self, key: forged if self.folder == planted else {})
    notices: list[str] = []
    for _ in range(2):  # one line a process
        made = make_evaluator(synthetic, planted, notices, **spec)
        (score,) = made.score(synthetic.train[:256], epoch=1, step=1)
    assert score.real_reference
    (notice,) = [text for text in notices if "is not used" in text]
    assert f"others can write to {planted}; type chmod go-w {planted}" in notice
    assert {path: path.read_bytes() for path in planted.iterdir()} == before
    (instead,) = temporary.iterdir()
    assert list(instead.iterdir())
    assert stat.S_IMODE(instead.stat().st_mode) == 0o700


def test_a_temporary_folder_that_another_user_made_first_is_not_used(
    synthetic: ImageData, tmp_path: Path, temporary: Path
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    taken = temporary / f"gan_bench-{os.getuid()}"
    taken.mkdir()
    taken.chmod(0o777)
    folder = cache_folder.trusted_cache(tmp_path / "cache", tmp_path, ignore_events)
    assert folder != taken
    assert distrust(folder) == ""


def test_a_cache_file_belongs_to_its_key_and_its_hash(tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path, ignore_events)
    mine: dict[str, object] = {"reference": "real"}
    other: dict[str, object] = {"reference": "noise"}
    arrays = {"fid": torch.tensor(1.5, dtype=torch.float64), "features": torch.rand(3, 4)}
    cache.store(mine, arrays)
    found = cache.load(mine)
    assert all(torch.equal(found[name], array) for name, array in arrays.items())
    cache._path(mine).rename(cache._path(other))
    assert cache.load(other) == {}
    cache.store(mine, arrays)
    data = cache._path(mine).read_bytes()
    cache._path(mine).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert cache.load(mine) == {}


def test_other_pixels_are_another_protocol_and_cache_key(synthetic: ImageData, tmp_path: Path) -> None:
    other = ImageData.from_splits(
        "synthetic",
        (synthetic.train, synthetic.train_labels),
        (255 - synthetic.test, synthetic.test_labels),
        n_classes=10,
        source="",
    )
    spec: dict[str, object] = {"extractors": ("mnist-cnn",), "metrics": ("fid",)}
    first = make_evaluator(synthetic, tmp_path, **spec).score(synthetic.train[:256], epoch=1, step=1)
    second = make_evaluator(other, tmp_path, **spec).score(synthetic.train[:256], epoch=1, step=1)
    assert first[0].protocol.protocol_id != second[0].protocol.protocol_id
    assert second[0].value > 2 * first[0].value
