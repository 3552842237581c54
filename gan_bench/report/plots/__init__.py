"""One file a plot: each takes the report's data and returns a figure, or None where there is nothing to show."""
