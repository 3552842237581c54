"""Output of the command line: progress, tables and JSON lines."""
