"""What is measured of generated images, one file per metric."""
