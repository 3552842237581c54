"""Losses of both networks: one file per loss."""
