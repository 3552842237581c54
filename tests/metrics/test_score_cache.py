"""Cache of real features and reference scores."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from helpers.evaluators import make_evaluator, values_of

from gan_bench.data.base import ImageData
from gan_bench.metrics.evaluator import Evaluator
from gan_bench.metrics.extractors.base import Extractor


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
    assert {path.suffix for path in cache.iterdir() if path.is_file()} == {".safetensors", ".json"}
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


def test_unwritable_cache_gives_one_notice_and_scores(synthetic: ImageData, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file, not a folder")
    notices: list[str] = []
    made = make_evaluator(synthetic, tmp_path / "file", notices, extractors=("mnist-cnn",), metrics=("is",))
    made.score(synthetic.train[:256], epoch=1, step=1)
    assert len([text for text in notices if "not writable" in text]) == 1


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
