"""mnist-cnn: a classifier of MNIST shipped with the package, trained by benchmarks/train_extractor.py."""

from __future__ import annotations

from pathlib import Path

from gan_bench.core.errors import InputError, ReadError
from gan_bench.core.limits import MIB
from gan_bench.core.reading import read_bytes
from gan_bench.metrics.extractors.base import Extractor, ExtractorContext, ExtractorSource, extractors
from gan_bench.metrics.extractors.classifier import ClassifierExtractor, load_classifier
from gan_bench.metrics.extractors.classifier_network import FEATURES

WEIGHTS = Path(__file__).with_name("mnist_cnn.safetensors")
SHA256 = "4df5ef8da17b9b48e94a64430170aa94b5e53fb9b796bb99e0dba9aaa438fd98"
"""Hash of the weights that scores of mnist-cnn are computed with."""
TEST_ACCURACY = 0.9963
"""Accuracy on MNIST's 10,000 test images."""


class MnistCnn(ExtractorSource):
    """The shipped classifier; grey images only."""

    name = "mnist-cnn"
    title = f"MNIST classifier, test accuracy {TEST_ACCURACY:.2%}"
    source = "shipped with gan_bench"
    feature_dim = FEATURES
    dataset = "mnist"

    def check(self, context: ExtractorContext) -> None:
        """Raise InputError for RGB images."""
        channels = context.data.train.shape[1]
        if channels != 1:
            raise InputError(
                f"extractor mnist-cnn requires 1 channel, and {context.data.name} has {channels}: "
                f"give --extractors {context.data.name}-cnn or inception"
            )

    def build(self, context: ExtractorContext) -> Extractor:
        """Return the extractor; raise InputError if the package's weights file is missing or altered."""
        fix = "reinstall gan_bench"
        try:
            net, _ = load_classifier(read_bytes(WEIGHTS, max_bytes=16 * MIB))
        except (ReadError, ValueError) as error:
            raise InputError(f"the weights of mnist-cnn at {WEIGHTS} are not readable ({error}): {fix}") from None
        own = context.data.name == self.dataset
        extractor = ClassifierExtractor(self.name, net, context.device, own_classes=own)
        if extractor.sha256 != SHA256:
            raise InputError(f"{WEIGHTS} is not the weights of mnist-cnn (hash mismatch): {fix}")
        return extractor


extractors.register(MnistCnn.name)(MnistCnn())
