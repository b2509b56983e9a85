"""Room: the live recorder, from its composition root to its clips, clock, metrics and
self-check.
"""
