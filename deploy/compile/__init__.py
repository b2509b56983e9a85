"""Room: networks of a bundle as TensorRT engines of the device that runs them."""
