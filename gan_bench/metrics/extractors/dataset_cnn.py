"""<data set>-cnn: a classifier of a data set's own classes, trained once on this machine and cached."""

from __future__ import annotations

import time
from pathlib import Path

from gan_bench.core.errors import InputError, ReadError, RunError
from gan_bench.core.events import Notice
from gan_bench.core.files import create_bytes, write_bytes
from gan_bench.core.limits import MIB
from gan_bench.core.private_folder import make_private
from gan_bench.core.reading import read_bytes
from gan_bench.data.base import datasets, resized
from gan_bench.metrics.extractors.base import (
    Extractor,
    ExtractorContext,
    ExtractorSource,
    default_cache,
    extractors,
)
from gan_bench.metrics.extractors.classifier import (
    SHA256,
    ClassifierExtractor,
    Metadata,
    classifier_bytes,
    load_classifier,
)
from gan_bench.metrics.extractors.classifier_network import FEATURES, SIZE, Classifier
from gan_bench.metrics.extractors.classifier_training import ClassifierRecipe, accuracy, train_classifier

RECIPE_VERSION = 1
MAX_BYTES = 256 * MIB
SMALL = ClassifierRecipe(epochs=8, batch_size=64)
LARGE = ClassifierRecipe(epochs=3, batch_size=128, max_steps=1200)


class DatasetCnn(ExtractorSource):
    """A classifier trained at first use: seconds for a small data set, a minute or two for a large one.

    Weights may differ by rounding between kinds of machines, and so may their hash; scores are then of different
    protocols.
    """

    source = "trained on the training split at first use"
    feature_dim = FEATURES

    def __init__(self, dataset: str) -> None:
        self.dataset: str = dataset
        self.name = f"{dataset}-cnn"
        self.title = f"classifier of {datasets.get(dataset).title}"

    def state(self) -> str:
        """Return whether it was trained on this machine earlier."""
        trained = any(default_cache().glob(f"extractors/{self.name}-v{RECIPE_VERSION}-*.safetensors"))
        return "trained earlier" if trained else "trained at first use"

    def check(self, context: ExtractorContext) -> None:
        """Raise InputError for any other data set, or one without labels."""
        if context.data.name != self.dataset:
            raise InputError(
                f"extractor {self.name} is trained on {self.dataset}, but the data set is {context.data.name}: "
                "give --extractors auto"
            )
        if context.data.train_labels is None or context.data.test_labels is None:
            raise InputError(
                f"extractor {self.name} requires labels, and {self.dataset} has none: give --extractors inception"
            )

    def build(self, context: ExtractorContext) -> Extractor:
        """Return the extractor from the cache, or train it and emit a notice."""
        path = (
            context.cache_dir
            / "extractors"
            / f"{self.name}-v{RECIPE_VERSION}-{context.data.sha256[:16]}.safetensors"
        )
        net, metadata = _read(path, context) or _store(path, _train(context), context)
        test_accuracy = float(metadata["test_accuracy"])
        context.on_event(Notice(f"Extractor {self.name}: test accuracy {test_accuracy:.2%}."))
        return ClassifierExtractor(self.name, net, context.device, own_classes=True)


def _read(path: Path, context: ExtractorContext) -> tuple[Classifier, Metadata] | None:
    """Return the classifier of a file, or None if it is missing, damaged, or not trained on this very data set."""
    try:
        net, metadata = load_classifier(read_bytes(path, max_bytes=MAX_BYTES))
        accuracy_is_known = 0 <= float(metadata["test_accuracy"]) <= 1
    except (ReadError, ValueError, KeyError):
        return None
    is_own = metadata.get("dataset_sha256") == context.data.sha256 and metadata.get(SHA256)
    return (net, metadata) if is_own and accuracy_is_known else None


def _train(context: ExtractorContext) -> bytes:
    data = context.data
    assert data.train_labels is not None
    assert data.test_labels is not None  # verified by check()
    recipe = SMALL if len(data.train) <= 5000 else LARGE
    name = f"{data.name}-cnn"
    steps = recipe.total_steps(len(data.train))
    context.on_event(Notice(f"Training extractor {name} ({steps} steps on the CPU); it is cached for later runs."))
    started = time.monotonic()
    train, test = resized(data.train.cpu(), SIZE), resized(data.test.cpu(), SIZE)
    net = train_classifier(train, data.train_labels.cpu(), data.n_classes, recipe)
    test_accuracy = accuracy(net, test, data.test_labels.cpu())
    context.on_event(Notice(f"Trained extractor {name} in {time.monotonic() - started:.0f} s."))
    metadata = {"test_accuracy": repr(test_accuracy), "recipe": repr(recipe), "dataset_sha256": data.sha256}
    return classifier_bytes(net, metadata)


def _store(path: Path, data: bytes, context: ExtractorContext) -> tuple[Classifier, Metadata]:
    """Store the weights unless another process stored its own first; return the stored ones, equal for all."""
    try:
        make_private(path.parent)
        if not create_bytes(path, data) and _read(path, context) is None:
            write_bytes(path, data)  # the existing file is damaged
    except (OSError, RunError) as error:
        reason = error.__cause__ or error
        context.on_event(
            Notice(f"Extractor {context.data.name}-cnn is not cached: {path.parent} is not writable ({reason}).")
        )
    return _read(path, context) or load_classifier(data)


OTHER_MODULES = ("mnist-cnn", "stacked-mnist-cnn")
for _name in datasets:
    if datasets.get(_name).n_classes > 0 and f"{_name}-cnn" not in OTHER_MODULES:
        extractors.register(f"{_name}-cnn")(DatasetCnn(_name))
