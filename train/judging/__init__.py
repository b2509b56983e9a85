"""Room: how good a system is on recordings of people it has never heard, and its open-set
calibration.
"""
