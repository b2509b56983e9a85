"""Room: a machine made a recorder, updated, and taken back when its own check finds fault."""
