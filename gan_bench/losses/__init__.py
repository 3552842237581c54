"""What the two networks minimise: one file per loss."""
