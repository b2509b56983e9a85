"""Room: a study's own labels on a network that is there already, its trunk, as a head."""
