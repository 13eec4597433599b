"""Measures every engine of a bundle against PyTorch FP32 eager, each in a process of its own (design section 7)."""
