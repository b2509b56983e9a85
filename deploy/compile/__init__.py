"""Room: networks of a bundle as TensorRT engines of this very device."""
