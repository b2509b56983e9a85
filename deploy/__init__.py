"""Putting a bundle on recorders."""
