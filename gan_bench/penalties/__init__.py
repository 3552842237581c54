"""Penalties of the discriminator: one file per penalty."""
