"""Room: the recordings a system is trained and judged on, found, checked and split by recordist."""
