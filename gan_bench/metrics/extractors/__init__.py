"""Extractors, one file each: networks whose features and logits scores are computed on."""
