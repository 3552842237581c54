"""Reports of stored runs: statistics, tables, plots and the page. Loads no torch."""
