"""Devices: selection by name, numerics and memory."""
