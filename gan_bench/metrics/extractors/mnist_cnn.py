"""mnist-cnn: a classifier of MNIST that comes with the package; benchmarks/train_extractor.py made it."""

from __future__ import annotations

from pathlib import Path

from gan_bench.errors import InputError
from gan_bench.metrics.extractors.classifier import ClassifierExtractor, unpacked
from gan_bench.metrics.extractors.extractor import Context, Extractor, ExtractorSource, extractors
from gan_bench.metrics.extractors.network import FEATURES

WEIGHTS = Path(__file__).with_name("mnist_cnn.safetensors")
SHA256 = "4df5ef8da17b9b48e94a64430170aa94b5e53fb9b796bb99e0dba9aaa438fd98"
"""The hash of the weights that scores of mnist-cnn are computed with."""
TEST_ACCURACY = 0.9963
"""The share of MNIST's 10,000 test images that it classifies rightly."""


class MnistCnn(ExtractorSource):
    """The shipped classifier; it sees grey images only."""

    name = "mnist-cnn"
    title = f"MNIST classifier, {TEST_ACCURACY:.2%} of the test images right"
    source = "comes with gan_bench"
    feature_dim = FEATURES
    dataset = "mnist"

    def at_hand(self) -> bool:
        """Return whether the weights are in the installed package, as they should be."""
        return WEIGHTS.is_file()

    def check(self, context: Context) -> None:
        """Raise InputError for coloured images."""
        channels = context.data.train.shape[1]
        if channels != 1:
            raise InputError(
                f"extractor mnist-cnn sees grey images, and {context.data.name} has {channels} channels: "
                f"give --extractors {context.data.name}-cnn or inception"
            )

    def build(self, context: Context) -> Extractor:
        """Return the extractor; raise InputError where the package's file is not the one that belongs here."""
        cure = "install gan_bench anew"
        try:
            net, _ = unpacked(WEIGHTS.read_bytes())
        except (OSError, ValueError) as error:
            raise InputError(f"the weights of mnist-cnn at {WEIGHTS} can't be read ({error}): {cure}") from None
        own = context.data.name == self.dataset
        extractor = ClassifierExtractor(self.name, net, context.device, own_classes=own)
        if extractor.sha256 != SHA256:
            raise InputError(f"{WEIGHTS} does not hold the weights of mnist-cnn (their hash is wrong): {cure}")
        return extractor


extractors.register(MnistCnn.name)(MnistCnn())
