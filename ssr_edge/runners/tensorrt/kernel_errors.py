"""Maps the errors of `ssr_kernels`, which imports nothing of this package, to those of ssr_edge."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from traceback import clear_frames
from typing import Any

from ssr_edge.common.errors import BuildError, InputError, RuntimeUnavailable
from ssr_edge.machine.gpu_memory import no_room


@contextmanager
def kernel_errors(driver: Any) -> Iterator[None]:
    """Wraps calls of `ssr_kernels`. driver: `pycuda.driver`, its context current.

    Raises:
        RuntimeUnavailable: NVRTC is missing. BuildError: the kernel does not compile for this GPU. InputError: an image
            is not uint8 [h, w, 3]. MemoryError: see `no_room`.
    """
    from ssr_kernels.errors import CompileError, CompilerMissing, KernelError, OutOfMemory, UnsupportedImage

    kinds = {CompilerMissing: RuntimeUnavailable, CompileError: BuildError, UnsupportedImage: InputError}
    try:
        yield
    except KernelError as error:
        kind = kinds[type(error)]
        raise kind(error.found, expected=error.expected, next_step=error.next_step) from error
    except OutOfMemory as error:
        full = no_room(driver, error.what, error.size, error.reason)
        # The error's frames hold what was allocated, which must be freed while the context is current.
        clear_frames(error.__traceback__)
        raise full from error
