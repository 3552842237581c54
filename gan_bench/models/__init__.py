"""Models: one file per architecture; a decorator registers it with its recipe."""
