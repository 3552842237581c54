"""Lanes: runs trained as one program, stacked on a leading axis."""
