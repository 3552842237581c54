"""Executors: place groups of runs in this process or in worker processes."""
