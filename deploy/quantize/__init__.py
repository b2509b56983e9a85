"""Room: networks of a bundle at lower precisions, measured before any recorder runs them."""
