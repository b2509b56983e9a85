"""Room: recordings through `detect()`, and their results as tables, lines and pictures."""
