"""Room: the local database of detections, effort and messages to send, safe from power cuts."""
