"""Storage of runs: one folder per run, every file written atomically, nothing pickled."""
