"""Plug point: what runs a network, ONNX Runtime, CUDA or TensorRT, behind the protocol
`base.Backend`.
"""
