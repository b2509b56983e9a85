"""Room: all recorders on a broker: what each of them runs and how it does, and heads for them."""
