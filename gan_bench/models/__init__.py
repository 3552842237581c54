"""The architectures that are compared: one file each; a decorator registers it with its recipe."""
