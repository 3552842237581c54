"""Data sets, one file each: uint8 images and labels."""
