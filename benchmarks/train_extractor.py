"""Trains the classifier that is shipped as `mnist-cnn`, measures it, and writes its safetensors file.

    python benchmarks/train_extractor.py --data-root FOLDER [--epochs 10] [--out FILE]

Put the hash and the accuracy that it prints into gan_bench/metrics/extractors/mnist_cnn.py. Scores of different
weights stand under different protocols: make new weights only with a reason, and say so in the changelog.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from gan_bench.data.dataset import datasets, default_root
from gan_bench.data.files import written_atomically
from gan_bench.metrics.extractors.classifier import packed
from gan_bench.metrics.extractors.extractor import weights_sha256
from gan_bench.metrics.extractors.fitting import Fit, accuracy, fit_classifier
from gan_bench.metrics.extractors.mnist_cnn import WEIGHTS


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data-root", type=Path, default=default_root())
    options.add_argument("--epochs", type=int, default=10)
    options.add_argument("--fp32", action="store_true", help="slower; bf16 is the default")
    options.add_argument("--out", type=Path, default=WEIGHTS)
    chosen = options.parse_args()

    data = datasets.get("mnist").load(chosen.data_root, offline=False, notify=print)
    assert data.train_labels is not None
    assert data.test_labels is not None
    fit = Fit(epochs=chosen.epochs, bf16=not chosen.fp32)
    started = time.monotonic()

    def report(step: int, total: int) -> None:
        if step % 100 == 0 or step == total:
            print(f"step {step} of {total}, {time.monotonic() - started:.0f} s", flush=True)

    net = fit_classifier(data.train, data.train_labels, data.n_classes, fit, report)
    share = accuracy(net, data.test, data.test_labels)
    notes = {"test_accuracy": repr(share), "recipe": repr(fit), "dataset_sha256": data.sha256}
    with written_atomically(chosen.out) as file:
        file.write(packed(net, {**notes, "torch": torch.__version__}))
    print(f"{chosen.out}\nSHA256 = {weights_sha256(net.state_dict())!r}\nTEST_ACCURACY = {share}")


if __name__ == "__main__":
    main()
