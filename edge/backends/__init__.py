"""Plug point: what runs a network, ONNX Runtime or TensorRT, behind `base.Backend`."""
