"""CUDA kernels around the engine (resize before it, overlay after it), and what compiles and launches them."""
