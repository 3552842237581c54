"""stacked-mnist-cnn: mnist-cnn on each channel; its classes are the 1,000 numbers of three digits."""

from __future__ import annotations

from torch import Tensor

from gan_bench.core.errors import InputError
from gan_bench.metrics.extractors.base import Extractor, ExtractorContext, ExtractorSource, extractors
from gan_bench.metrics.extractors.classifier_network import FEATURES
from gan_bench.metrics.extractors.mnist_cnn import TEST_ACCURACY, MnistCnn

CHANNELS = 3


class StackedExtractor(Extractor):
    """A classifier of grey images, applied to three channels; features side by side, probabilities multiplied."""

    feature_dim = CHANNELS * FEATURES

    def __init__(self, name: str, digit: Extractor, *, own_classes: bool) -> None:
        self.name, self.digit = name, digit
        self.sha256, self.device, self.batch_size = digit.sha256, digit.device, digit.batch_size
        self.n_classes = 1000 if own_classes else None

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return (features [B, 384], logits [B, 1000]) of uint8 [B, 3, H, W]."""
        features, logits = self.digit.forward(images.flatten(0, 1)[:, None])
        red, green, blue = logits.float().log_softmax(1).reshape(len(images), CHANNELS, -1).unbind(1)
        joint = red[:, :, None, None] + green[:, None, :, None] + blue[:, None, None, :]
        return features.reshape(len(images), -1), joint.flatten(1)


class StackedMnistCnn(ExtractorSource):
    """The shipped classifier of MNIST, for images of three channels."""

    name = "stacked-mnist-cnn"
    title = f"MNIST classifier on each channel, test accuracy {TEST_ACCURACY:.2%} a digit"
    source = "shipped with gan_bench"
    feature_dim = CHANNELS * FEATURES
    dataset = "stacked-mnist"

    def check(self, context: ExtractorContext) -> None:
        """Raise InputError for images without three channels."""
        channels = context.data.train.shape[1]
        if channels != CHANNELS:
            raise InputError(
                f"extractor {self.name} requires 3 channels, and {context.data.name} has {channels}: "
                "give --extractors auto"
            )

    def build(self, context: ExtractorContext) -> Extractor:
        """Return the extractor; raise InputError if the package's weights file is missing or altered."""
        digit = MnistCnn().build(context)
        return StackedExtractor(self.name, digit, own_classes=context.data.name == self.dataset)


extractors.register(StackedMnistCnn.name)(StackedMnistCnn())
