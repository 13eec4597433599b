"""Profiles PyTorch eager mode by timing each function that the network calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssr_edge.bench.profile.blocks import PREPROCESSING, named_block
from ssr_edge.bench.profile.layers import LayerTime, Profile, median_layers, precision_of
from ssr_edge.bench.profile.runtimes.calls import one_at_a_time
from ssr_edge.images.preprocess import Image
from ssr_train.runner import TorchRunner

if TYPE_CHECKING:
    from torch import nn


def profile_torch(arch: dict[str, Any], checkpoint: Path | None, form: str, images: Image, calls: int) -> Profile:
    """See `profile_engine`. arch, checkpoint, form: as for TorchRunner.

    On the CPU, functions return when the computation is done, so their times are exact. The time of Python code between
    functions is not assigned to any of them.

    Raises:
        RuntimeUnavailable: PyTorch or the training stage is missing. CheckpointError: the checkpoint can't be used.
    """
    with TorchRunner(arch, checkpoint, form) as runner:
        modules: list[str] = []

        def call(image: Image) -> list[LayerTime]:
            layers: list[LayerTime] = []
            with _clock(modules, layers):
                runner.infer(image)
            return layers

        with _following(runner.network, modules):
            return median_layers(one_at_a_time(call, images, calls))


@contextmanager
def _following(network: nn.Module, modules: list[str]) -> Iterator[None]:
    """Keeps `modules` equal to the names of the running modules, innermost last."""

    def enter(name: str) -> Callable[..., None]:
        return lambda *_: modules.append(name)

    def leave(*_: Any) -> None:
        modules.pop()

    hooks = []
    for name, module in network.named_modules():
        hooks += [module.register_forward_pre_hook(enter(name)), module.register_forward_hook(leave)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _clock(modules: Sequence[str], layers: list[LayerTime]) -> Any:
    """A context manager that times every PyTorch function that returns a tensor, and adds it to `layers`."""
    import torch
    from torch.overrides import TorchFunctionMode

    class Clock(TorchFunctionMode):
        def __torch_function__(
            self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            began = time.perf_counter()
            result = function(*args, **(kwargs or {}))
            ms = (time.perf_counter() - began) * 1000
            # Other functions return a shape or a flag.
            if isinstance(result, torch.Tensor):
                module, kind = modules[-1] if modules else "", function.__name__
                # Functions outside a named block belong to the block before, as a ReLU to its convolution.
                block = named_block(module) or (layers[-1].block if layers else PREPROCESSING)
                name = f"{module}.{kind}".lstrip(".")
                layers.append(LayerTime(name, kind, block, ms, precision_of(str(result.dtype))))
            return result

    return Clock()
