"""Room: the page over a dataset of `edge archive`: an index of it, and the sound of its events."""
