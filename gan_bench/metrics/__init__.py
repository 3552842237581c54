"""Metrics of generated images, one file each, and the evaluator that computes them."""
