"""Users' own images as a data set: a folder, a zip, or an array file."""
