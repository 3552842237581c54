"""KMNIST: 60,000 and 10,000 cursive Japanese characters in ten classes, 28x28, grey."""

from gan_bench.data.archives import MnistArchives
from gan_bench.data.base import datasets

datasets.register("kmnist")(MnistArchives("kmnist", "KMNIST", "KMNIST", "arXiv 1812.01718"))
