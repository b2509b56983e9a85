"""Room: from a finished run to a bundle with its model card."""
