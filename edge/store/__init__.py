"""Room: the local database, which keeps detections, effort and what is still to be sent through a
power cut.
"""
