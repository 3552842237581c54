"""What is kept of runs: one folder a run, every file of it written atomically, nothing of it pickled."""
