"""Where audio comes from, behind one protocol."""
