"""inception: the Inception v3 of the original FID in torch-fidelity's port; comparable with published tables."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gan_bench.core.errors import InputError, ReadError, first_line
from gan_bench.core.events import Notice
from gan_bench.core.limits import GIB
from gan_bench.core.parsing import parse_path
from gan_bench.core.private_folder import user_cache
from gan_bench.core.reading import exists, open_regular, read_bytes
from gan_bench.core.tensor_file import read_tensors
from gan_bench.data.download import fetch, known_hash
from gan_bench.metrics.extractors.base import (
    Extractor,
    ExtractorContext,
    ExtractorSource,
    extractors,
    weights_sha256,
)
from gan_bench.metrics.fidelity import INCEPTION_URL, inception_network

VARIABLE = "GAN_BENCH_INCEPTION_WEIGHTS"
FILE = INCEPTION_URL.rsplit("/", 1)[-1]
PUBLISHED_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
"""Of the published file, whose name has the first eight digits; the only pickle that is read."""
LIMIT_SECONDS = 600.0
MAX_BYTES = GIB
HINT = (
    f"download {INCEPTION_URL} elsewhere and set {VARIABLE} to the file, "
    "or, where the data set has labels, give --extractors auto"
)


class InceptionExtractor(Extractor):
    """Pooled features (2048) and logits without bias (1008); grey images are repeated to RGB."""

    name = "inception"
    feature_dim = 2048
    n_classes = None

    def __init__(self, net: nn.Module, device: torch.device) -> None:
        self.sha256 = weights_sha256(net.state_dict())
        self.net = net.to(device)
        self.batch_size = 50 if device.type == "cpu" else 250
        self.device = device

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return (features [B, 2048], logits [B, 1008]) of uint8 [B, 1 or 3, H, W]."""
        features, logits = self.net(images.expand(-1, 3, -1, -1))
        return features, logits


class Inception(ExtractorSource):
    """Weights (95 MB) from GAN_BENCH_INCEPTION_WEIGHTS, else torch hub's cache, else downloaded into it."""

    name = "inception"
    title = "Inception v3 (ImageNet), 2048 features"
    source = "arXiv 1512.00567; weights of the TensorFlow FID code, converted by torch-fidelity"
    feature_dim = 2048
    dataset = None

    def state(self) -> str:
        """Return whether the weights are available, missing, or damaged, with what to do."""
        path = weights_path()
        if not exists(path):
            return "missing"
        fault = fault_of(path)
        return f"damaged: {fault}" if fault else "available"

    def check(self, context: ExtractorContext) -> None:
        """Raise InputError if the named file is missing or damaged, or a download is required and `offline`."""
        path = weights_path()
        if exists(path):
            if fault := fault_of(path):
                raise InputError(f"not the weights of inception: {fault}")
            return
        if os.environ.get(VARIABLE):
            raise InputError(f"{VARIABLE} is {path}, which is not a file: {HINT}")
        if context.offline:
            raise InputError(
                f"the weights of inception are missing at {path} and --offline or --dry-run was given: {HINT}"
            )

    def build(self, context: ExtractorContext) -> Extractor:
        """Return the extractor; raise InputError where its weights are unavailable."""
        self.check(context)
        path = weights_path()
        if not exists(path):
            context.on_event(Notice("Downloading the weights of inception (95 MB) before training starts."))
            deadline = time.monotonic() + LIMIT_SECONDS
            sha256 = f"sha256:{PUBLISHED_SHA256}"
            fetch([INCEPTION_URL], path, sha256, deadline=deadline, hint=HINT, on_event=context.on_event)
        try:
            net = inception_network(_saved(read_weights(path)))
        except (ReadError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
            raise InputError(f"{path} is not the weights of inception ({first_line(error)}): {HINT}") from None
        return InceptionExtractor(net, context.device)


def weights_path() -> Path:
    """Return the path of the weights; raise InputError if it starts with the home folder of an unknown user."""
    named = os.environ.get(VARIABLE)
    if named:
        return parse_path(named, VARIABLE)
    hub = Path(torch.hub.get_dir())  # starts with ~ for a user without a home folder
    return (hub if hub.is_absolute() else user_cache() / "torch") / "checkpoints" / FILE


def fault_of(path: Path) -> str:
    """Return what is wrong with a weights file, and what to do; empty for one that can be read.

    The published file is known by its hash, which is computed once per process and content.
    """
    try:
        if path.suffix == ".safetensors":
            read_tensors(path, max_bytes=MAX_BYTES)
        elif known_hash(path, "sha256") != PUBLISHED_SHA256:
            with open_regular(path, max_bytes=MAX_BYTES):  # says what it is, if it is not a regular file
                pass
            raise ReadError(
                f"{path}: is not the published file, or not all of it; others are read as .safetensors"
            )
    except ReadError as error:
        if os.environ.get(VARIABLE):
            return f"{error}; {HINT}"
        return f"{error}; delete {path} to download it again"
    return ""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the arrays of a .safetensors file, or of the published one; raise ReadError for any other file.

    The published file is a pickle. Its hash is verified before unpickling, since torch's protection against
    crafted pickles (weights_only) was bypassed more than once.
    """
    if path.suffix == ".safetensors":
        arrays = read_tensors(path, max_bytes=MAX_BYTES).arrays
        return {name: torch.from_numpy(array) for name, array in arrays.items()}
    content = read_bytes(path, max_bytes=MAX_BYTES)
    if hashlib.sha256(content).hexdigest() != PUBLISHED_SHA256:
        raise ReadError("not the published file, the only pickle that is read; convert others to .safetensors")
    weights: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise ReadError("not a dictionary of arrays")
    return dict(weights)


def _saved(weights: dict[str, Tensor]) -> io.BytesIO:
    # torch-fidelity unpickles its file: pass it a copy in memory of arrays that were read safely
    buffer = io.BytesIO()
    torch.save(weights, buffer)
    buffer.seek(0)
    return buffer


extractors.register(Inception.name)(Inception())
