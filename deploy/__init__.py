"""Putting bundles, and the program that runs them, on recorders."""
