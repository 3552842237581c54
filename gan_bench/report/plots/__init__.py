"""One file per plot; each registers a function that returns a figure, or None without data."""
