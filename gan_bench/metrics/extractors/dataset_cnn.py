"""<data set>-cnn: a classifier of a data set's own classes, trained once on this machine and kept in the cache."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path

from gan_bench.data.dataset import datasets, resized
from gan_bench.data.files import private_folder
from gan_bench.errors import InputError
from gan_bench.metrics.extractors.classifier import ClassifierExtractor, Notes, packed, unpacked
from gan_bench.metrics.extractors.extractor import Context, Extractor, ExtractorSource, extractors
from gan_bench.metrics.extractors.fitting import Fit, accuracy, fit_classifier
from gan_bench.metrics.extractors.network import FEATURES, SIZE, Classifier

RECIPE_VERSION = 1
SMALL = Fit(epochs=8, batch_size=64)
LARGE = Fit(epochs=3, batch_size=128, max_steps=1200)


class DatasetCnn(ExtractorSource):
    """A classifier trained at its first use: seconds for a small data set, a minute or two for a large one.

    Its weights may differ in their last digits from one kind of machine to another, and so may its hash:
    scores then stand under different protocols, as they should.
    """

    source = "trained on the training split at first use"
    feature_dim = FEATURES

    def __init__(self, dataset: str) -> None:
        self.dataset: str = dataset
        self.name = f"{dataset}-cnn"
        self.title = f"classifier of {datasets.get(dataset).title}"

    def at_hand(self) -> bool:
        """Return True: there is nothing to download."""
        return True

    def check(self, context: Context) -> None:
        """Raise InputError for any other data set, or one without labels."""
        if context.data.name != self.dataset:
            raise InputError(
                f"extractor {self.name} is made from {self.dataset}, and the images are {context.data.name}: "
                "give --extractors auto"
            )
        if context.data.train_labels is None or context.data.test_labels is None:
            raise InputError(
                f"extractor {self.name} needs labels, and {self.dataset} came without: give inception"
            )

    def build(self, context: Context) -> Extractor:
        """Return the extractor, out of the cache or trained now and announced."""
        path = (
            context.cache_dir
            / "extractors"
            / f"{self.name}-v{RECIPE_VERSION}-{context.data.sha256[:16]}.safetensors"
        )
        found = _read(path)
        if found is None:
            data = _trained(context)
            found = _keep(path, data, context)
        net, notes = found
        context.notify(f"extractor {self.name}: {float(notes['test_accuracy']):.2%} of the test images right")
        return ClassifierExtractor(self.name, net, context.device, own_classes=True)


def _read(path: Path) -> tuple[Classifier, Notes] | None:
    try:
        net, notes = unpacked(path.read_bytes())
        float(notes["test_accuracy"])
    except (OSError, ValueError, KeyError):  # missing or torn: it is trained again
        return None
    return net, notes


def _trained(context: Context) -> bytes:
    data = context.data
    assert data.train_labels is not None
    assert data.test_labels is not None  # check() saw to both
    fit = SMALL if len(data.train) <= 5000 else LARGE
    name = f"{data.name}-cnn"
    context.notify(
        f"training extractor {name} once, {fit.steps(len(data.train))} steps on the CPU; it is then kept"
    )
    started = time.monotonic()
    train, test = resized(data.train.cpu(), SIZE), resized(data.test.cpu(), SIZE)
    net = fit_classifier(train, data.train_labels.cpu(), data.n_classes, fit)
    share = accuracy(net, test, data.test_labels.cpu())
    context.notify(f"extractor {name} trained in {time.monotonic() - started:.0f} s")
    return packed(net, {"test_accuracy": repr(share), "recipe": repr(fit), "dataset_sha256": data.sha256})


def _keep(path: Path, data: bytes, context: Context) -> tuple[Classifier, Notes]:
    """Write the weights unless another process was first, and return those that stand: all use the same."""
    try:
        folder = private_folder(path.parent)
        handle, name = tempfile.mkstemp(dir=folder, prefix=f".{path.name}.")
        beside = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if path.exists() and _read(path) is None:
                beside.replace(path)  # what was there is torn
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                path.hardlink_to(beside)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        context.notify(
            f"extractor {context.data.name}-cnn can't be kept at {path.parent} ({error}): used, not kept"
        )
    return _read(path) or unpacked(data)


for _name in datasets:
    if datasets.get(_name).n_classes > 0 and f"{_name}-cnn" not in ("mnist-cnn",):
        extractors.register(f"{_name}-cnn")(DatasetCnn(_name))
