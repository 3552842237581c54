"""The way of a run, in order: plan, scheduler, executors, run_group, evaluate."""
