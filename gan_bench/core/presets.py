"""Presets: values of a matrix that apply wherever the user set none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "smoke": {"seeds": (0,), "steps": 24, "batch_size": 32, "eval_samples": 320, "settings": {"width": 0.25}},
    "quick": {"seeds": (0,), "steps": 3000, "batch_size": 64, "eval_samples": 2000, "settings": {"width": 0.5}},
    "standard": {"seeds": (0, 1, 2), "epochs": 25, "eval_samples": 10_000},
    "paper": {"seeds": (0,), "eval_samples": 10_000},
}
PRESET_SUMMARIES: Mapping[str, str] = {
    "smoke": "a few steps of narrow networks: shows that everything works; says nothing about quality",
    "quick": "a first look: one seed, 3,000 steps of half-width networks; the default without a GPU",
    "standard": "three seeds, 25 epochs, 10,000 samples; the default with a GPU",
    "paper": "each model's published recipe, one seed, 10,000 samples",
}
