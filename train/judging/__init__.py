"""Room: how good a system is on recordings of people it has not heard, and its calibration."""
