"""Fashion-MNIST: 60,000 and 10,000 images of clothes in ten classes, 28x28, grey."""

from gan_bench.data.archives import MnistArchives
from gan_bench.data.base import datasets

datasets.register("fashion-mnist")(
    MnistArchives("fashion-mnist", "FashionMNIST", "Fashion-MNIST", "arXiv 1708.07747")
)
