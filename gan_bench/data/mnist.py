"""MNIST: 60,000 and 10,000 handwritten digits, 28x28, grey."""

from gan_bench.data.archives import MnistArchives
from gan_bench.data.base import datasets

datasets.register("mnist")(MnistArchives("mnist", "MNIST", "MNIST", "LeCun, Cortes, Burges 1998"))
