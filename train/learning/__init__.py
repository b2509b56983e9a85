"""Room: from a corpus and a recipe to trained weights, by trainings that survive a kill."""
