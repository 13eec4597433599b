"""Stand-ins for what CI has not: a GPU, pycuda and TensorRT. They hold the product to the real ones' contract."""
