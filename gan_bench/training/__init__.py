"""Training of a group of runs: one step, one trainer."""
