"""Train the classifier that is shipped as `mnist-cnn`, print its test accuracy, and write its safetensors file.

    python benchmarks/train_extractor.py --data-root FOLDER [--epochs 10] [--out FILE]

Copy the printed hash and accuracy to gan_bench/metrics/extractors/mnist_cnn.py. Scores of different weights are of
different protocols: train new weights only for a reason that the changelog states.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from gan_bench.core.events import ignore_events
from gan_bench.core.files import write_bytes
from gan_bench.data.base import datasets, default_root
from gan_bench.metrics.extractors.base import weights_sha256
from gan_bench.metrics.extractors.classifier import classifier_bytes
from gan_bench.metrics.extractors.classifier_training import ClassifierRecipe, accuracy, train_classifier
from gan_bench.metrics.extractors.mnist_cnn import WEIGHTS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, default=default_root())
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--fp32", action="store_true", help="slower; bf16 is the default")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args()

    data = datasets.get("mnist").load(options.data_root, offline=False, on_event=ignore_events)
    assert data.train_labels is not None
    assert data.test_labels is not None
    recipe = ClassifierRecipe(epochs=options.epochs, bf16=not options.fp32)
    started = time.monotonic()

    def print_progress(step: int, total: int) -> None:
        if step % 100 == 0 or step == total:
            print(f"step {step} of {total}, {time.monotonic() - started:.0f} s", flush=True)

    net = train_classifier(data.train, data.train_labels, data.n_classes, recipe, print_progress)
    test_accuracy = accuracy(net, data.test, data.test_labels)
    metadata = {"test_accuracy": repr(test_accuracy), "recipe": repr(recipe), "dataset_sha256": data.sha256}
    write_bytes(options.out, classifier_bytes(net, {**metadata, "torch": torch.__version__}))
    print(f"{options.out}\nSHA256 = {weights_sha256(net.state_dict())!r}\nTEST_ACCURACY = {test_accuracy}")


if __name__ == "__main__":
    main()
