"""Plug point: where audio comes from, a microphone or a file, behind `base.Source`."""
