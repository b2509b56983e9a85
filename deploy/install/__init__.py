"""Room: make a machine a recorder, update it, and undo that when its own check finds a fault."""
