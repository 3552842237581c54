"""Evaluation specs and protocols: validation, and ids that change with every field."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from gan_bench.core.errors import InputError
from gan_bench.core.evaluation_spec import SAMPLE_BATCH, STANDING_BATCHES, EvaluationProtocol, EvaluationSpec

PROTOCOL = EvaluationProtocol(
    dataset="mnist", dataset_sha256="0", reference_split="test", n_real=10, n_fake=10, extractor="cnn",
    extractor_sha256="1", resize="none", seed=0, kid_subset_size=50, torch_fidelity_version="0.4.0",
)  # fmt: skip
CHANGES: dict[str, object] = {
    "dataset": "digits", "dataset_sha256": "1", "reference_split": "train", "n_real": 11, "n_fake": 11,
    "extractor": "inception", "extractor_sha256": "2", "resize": "bilinear", "weights": "ema",
    "batch_norm": "batch of 500", "kid_subset_size": 51, "seed": 1, "torch_fidelity_version": "0.4.1",
    "protocol_version": 3,
}  # fmt: skip


def test_a_protocol_id_is_p_and_8_hex_digits() -> None:
    assert re.fullmatch(r"p[0-9a-f]{8}", PROTOCOL.protocol_id)
    for seed in range(50):
        identity = PROTOCOL.model_copy(update={"seed": seed}).protocol_id
        with pytest.raises(ValueError, match="could not convert"):
            float(identity)


def test_a_protocol_id_survives_json_and_does_not_depend_on_the_process() -> None:
    text = json.dumps(dict(reversed(PROTOCOL.model_dump(mode="json").items())))
    assert EvaluationProtocol.model_validate_json(text).protocol_id == PROTOCOL.protocol_id
    code = (
        "import sys; from gan_bench.core.evaluation_spec import EvaluationProtocol; "
        "print(EvaluationProtocol.model_validate_json(sys.argv[1]).protocol_id)"
    )
    done = subprocess.run([sys.executable, "-c", code, text], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == PROTOCOL.protocol_id


def test_every_field_of_a_protocol_changes_its_id() -> None:
    assert CHANGES.keys() == EvaluationProtocol.model_fields.keys()
    others = [EvaluationProtocol(**{**PROTOCOL.model_dump(), field: value}) for field, value in CHANGES.items()]
    assert len({PROTOCOL.protocol_id, *(other.protocol_id for other in others)}) == 1 + len(CHANGES)


@pytest.mark.parametrize(
    ("batch_norm", "text"),
    [
        ("running", "running"),
        ("batch", f"batch of {SAMPLE_BATCH}"),
        ("standing", f"standing over {STANDING_BATCHES} batches of {SAMPLE_BATCH}"),
    ],
)
def test_batch_norm_statistics_in_the_protocol_name_their_batches(batch_norm: str, text: str) -> None:
    spec = EvaluationSpec(batch_norm=batch_norm)
    assert spec.batch_norm_protocol == text
    assert EvaluationProtocol(**{**PROTOCOL.model_dump(), "batch_norm": text}).batch_norm == text


def test_defaults_are_the_usual_conventions() -> None:
    spec = EvaluationSpec()
    assert (spec.samples, spec.draws, spec.reference_split, spec.batch_norm) == (10_000, 1, "test", "running")
    assert spec.extractors == ("auto",)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("samples", 15), ("samples", 10**6 + 1), ("draws", 0), ("draws", 101), ("reference_split", "validation"),
        ("batch_norm", "none"), ("metrics", ("A B",)), ("extractors", ("../x",)),
    ],
)  # fmt: skip
def test_an_invalid_evaluation_spec_is_an_input_error(field: str, value: object) -> None:
    with pytest.raises(InputError, match=f"EvaluationSpec: {field}="):
        EvaluationSpec(**{field: value})
