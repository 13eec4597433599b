"""Writes a bundle as a model repository of NVIDIA Triton Inference Server: `ssr-edge triton`."""
