"""Room: blocks of audio in, detections out; `pipeline.detect` is the whole of it on one screen."""
