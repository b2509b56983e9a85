"""Room: everything that decides a training run, as data, checked before anything runs."""
