"""Vocabulary shared by every package: specs, matrices, records, events, errors, files. No torch."""
