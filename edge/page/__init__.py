"""Room: what a person sees of the store: the recorder's own page, and lists on the terminal."""
