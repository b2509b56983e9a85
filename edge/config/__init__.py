"""Room: the configuration of a recorder, each key with its type, range and default, read once at
the border.
"""
