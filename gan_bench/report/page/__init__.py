"""The HTML page and its Markdown version."""
