"""Errors of the kernels and their launchers. This package imports no other of the project, so callers map them.

KernelError           found, expected and next step, as text
├── CompilerMissing   NVRTC or its Python bindings are not installed
├── CompileError      NVRTC rejects the kernel or does not know the GPU's compute capability
└── UnsupportedImage  an image that is not uint8 [height, width, 3]
OutOfMemory           the GPU, or page-locked memory, has no room for a buffer; a MemoryError
"""

from __future__ import annotations


class KernelError(Exception):
    """Base class: what was found, what was expected, and the next command to run."""

    def __init__(self, found: str, *, expected: str, next_step: str) -> None:
        super().__init__(f"{found}; expected: {expected}; next: {next_step}")
        self.found = found
        self.expected = expected
        self.next_step = next_step


class CompilerMissing(KernelError):
    """NVRTC or its Python bindings are not installed."""


class CompileError(KernelError):
    """NVRTC rejects the kernel or does not know the GPU's compute capability."""


class UnsupportedImage(KernelError):
    """An image that is not uint8 [height, width, 3]."""


class OutOfMemory(MemoryError):
    """No room for a buffer. what: its content. size: in bytes. reason: the driver's message."""

    def __init__(self, what: str, size: int, reason: str) -> None:
        super().__init__(f"no room for {what}, {size:,} bytes: {reason}")
        self.what = what
        self.size = size
        self.reason = reason
