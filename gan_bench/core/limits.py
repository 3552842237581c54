"""Limits of what is read and asked for: far above any real use, far below what exhausts a machine."""

from __future__ import annotations

KIB, MIB, GIB = 2**10, 2**20, 2**30

# Sizes of files, in bytes
MAX_SPEC_BYTES = 64 * KIB
MAX_MARK_BYTES = 4 * KIB
"""store.json and leases."""
MAX_RECORD_BYTES = MIB
MAX_ENVIRONMENT_BYTES = 4 * MIB
"""With the environments of all earlier attempts."""
MAX_EPOCHS_BYTES = 32 * MIB
MAX_SCORES_BYTES = 32 * MIB
MAX_SUMS_BYTES = 32 * MIB
MAX_STATE_BYTES = 128 * MIB
"""A checkpoint's JSON, which embeds epochs and scores."""
MAX_ARRAYS_BYTES = 4 * GIB
"""A safetensors file."""
MAX_HEADER_BYTES = 16 * MIB
"""The JSON header of a safetensors file."""
MAX_IMAGE_BYTES = 32 * MIB
MAX_PLAN_BYTES = 2 * MIB
"""One file of `plans/`: the ids of at most MAX_RUNS runs, and how they are evaluated."""
MAX_MATRIX_BYTES = 256 * KIB
"""A TOML file with options."""
MAX_PLUGIN_BYTES = 16 * MIB
MAX_ARCHIVE_BYTES = GIB
"""A downloaded archive of a data set, and what is unpacked from it."""
MAX_PHOTO_BYTES = 256 * MIB
"""One of a user's own image files."""
MAX_PHOTO_PIXELS = 89_478_485
"""Pixels of one image; Pillow's own limit for decompression bombs."""
MAX_SOURCE_BYTES = 4 * GIB
"""A zip or array file of images, and the pixels of a data set made from a user's images."""
MAX_FOLDER_BYTES = 2 * GIB
"""All that is read of one results folder, weights and images apart."""

# Contents
MAX_DEPTH = 32
"""Nested lists and objects of a JSON or TOML file."""
MAX_VALUES = 100_000
MAX_SCORE_VALUES = 2_000_000
MAX_STATE_VALUES = 8_000_000
MAX_TEXT = 100_000
"""Characters of one text in a JSON or TOML file."""
MAX_INT = 2**64
MAX_EPOCHS = 200_000
"""Lines of epochs.csv."""
MAX_COLUMNS = 100
MAX_SCORES = 50_000
MAX_ARRAYS = 100_000
MAX_ENTRIES = 500_000
"""Files and folders in one folder."""

MAX_PLANS = 10_000
"""Plans of one results folder."""

# Requests
MAX_RUNS = 10_000
"""Trainings of one matrix."""
