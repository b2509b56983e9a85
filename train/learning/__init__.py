"""Room: from a corpus and a recipe to trained weights, in steps that survive a kill."""
