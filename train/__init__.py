"""Training: labelled recordings to a portable bundle."""
