"""The device: live microphone or file to detections."""
