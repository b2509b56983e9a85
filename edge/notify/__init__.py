"""Room: telling people of what was heard and of faults, through services that they name."""
