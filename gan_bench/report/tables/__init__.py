"""Summary and leaderboard as dataframes, and every table of the page as text."""
