"""EvaluationSpec: what is computed on a trained generator. EvaluationProtocol: what a score depends on."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from gan_bench.core.frozen import Counter, Frozen, Line, Name, UserInput, Whole, canonical_json, sha256_hex
from gan_bench.core.option_fields import BatchNormStatistics, Count, Draws, Samples, Split

Weights: TypeAlias = Literal["raw", "ema"]


SAMPLE_BATCH = 500
"""Images that a generator samples at once; with `batch` statistics they are part of the protocol."""
STANDING_BATCHES = 50


METRICS = ("fid", "is", "kid", "prc", "dc", "modes", "copies", "feature-copies", "class-accuracy")
"""Metrics that are computed by default; those of labels for conditional models only."""


class EvaluationSpec(UserInput):
    """What is computed on a trained generator. Not part of a run's identity."""

    metrics: Annotated[tuple[Name, ...], Field(max_length=100)] = METRICS
    extractors: Annotated[tuple[Name, ...], Field(max_length=100)] = ("auto",)
    """`auto` is the data set's own classifier, or inception where it has no labels."""
    samples: Samples = 10_000
    draws: Draws = 1
    """Independent sample sets drawn from one generator."""
    reference_split: Split = "test"
    """The real images that samples are compared with."""
    batch_norm: BatchNormStatistics = "running"
    """BatchNorm statistics while sampling: running averages, each batch's own, or standing (arXiv 1809.11096)."""

    @classmethod
    def from_options(cls, given: Mapping[str, Any]) -> EvaluationSpec:
        """Return the spec of options by name, such as `eval_samples` for `samples`; None is the default.

        Other options are ignored.
        """
        named = {key.removeprefix("eval_"): value for key, value in given.items() if value is not None}
        return cls(**{key: value for key, value in named.items() if key in cls.model_fields})

    @property
    def batch_norm_protocol(self) -> str:
        """The BatchNorm statistics in words, with batch size and count where scores depend on them."""
        return {
            "running": "running",
            "batch": f"batch of {SAMPLE_BATCH}",
            "standing": f"standing over {STANDING_BATCHES} batches of {SAMPLE_BATCH}",
        }[self.batch_norm]


class EvaluationProtocol(Frozen):
    """Everything a score depends on besides the training; scores of different protocols are never compared."""

    dataset: Name
    dataset_sha256: Line
    reference_split: Split
    n_real: Count
    n_fake: Count
    extractor: Name
    extractor_sha256: Line
    resize: Line
    weights: Weights = "raw"
    batch_norm: Line = "running"
    """Statistics used by the generator's BatchNorm layers, with batch size and count where those matter."""
    kid_subset_size: Count
    seed: Whole
    torch_fidelity_version: Line
    protocol_version: Counter = 2

    @property
    def protocol_id(self) -> str:
        """`p` and 8 hex digits of the hash of all fields; no reader takes it for a number."""
        return _protocol_id(self)


@functools.lru_cache(maxsize=1024)
def _protocol_id(protocol: EvaluationProtocol) -> str:
    # a report over a thousand runs reads the id a quarter of a million times
    return "p" + sha256_hex(canonical_json(protocol.model_dump(mode="json")))[:8]
