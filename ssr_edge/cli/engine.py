"""Which engine `ssr-edge infer` runs: one of a bundle on this machine, or a model on a server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import UsageError
from ssr_edge.runners.base import Runner
from ssr_edge.runners.choose import choose_precision, choose_runtime, open_runner, open_server_runner
from ssr_edge.runners.server.address import RetryPolicy, ServerAddress


@dataclass(frozen=True)
class Engine:
    """An engine that was chosen. bundle: None of a served model beside which none was named.

    open: loads it, given whether every call will be of one image; raises as the runner does. why: it was chosen, in
    words.
    """

    bundle: Bundle | None
    open: Callable[[bool], Runner]
    why: str

    @property
    def magnification(self) -> int | None:
        """What the bundle was trained for; None for any, and where there is none."""
        return None if self.bundle is None else self.bundle.manifest.magnification

    @property
    def title(self) -> str:
        """Where it comes from, for the user."""
        return "no bundle, magnification unknown" if self.bundle is None else str(self.bundle.path)


def local_engine(bundle: Path | None, runtime: str, precision: str | None, requests: int, resize: str) -> Engine:
    """An engine of a bundle, the newest if none is named. The arguments are `open_runner`'s.

    Raises:
        BundleError: no such bundle, or it lacks the precision.
    """
    opened = Bundle.open(bundle) if bundle else Bundle.newest()
    chosen = choose_precision(opened, precision, runtime)
    name, why = choose_runtime(opened, runtime, chosen)
    return Engine(opened, lambda single: open_runner(opened, name, chosen, requests, resize, single=single), why)


def served_engine(
    server: str,
    bundle: Path | None,
    retry_policy: RetryPolicy,
    requests: int,
    *,
    runtime: str,
    precision: str | None,
    resize: str,
) -> Engine:
    """A model on a server; a bundle beside it says the magnification that it was trained for.

    Raises:
        UsageError: no address of a model, or an option that chooses an engine on this machine. BundleError: no such
            bundle.
    """
    address = ServerAddress.parse(server)
    local = {"--runtime": runtime != "auto", "--precision": precision is not None, "--resize gpu": resize == "gpu"}
    for option, given in local.items():
        if given:
            raise UsageError(
                f"{option} together with --server",
                expected="one of them: the server's model has its own engine and precision",
                next_step=f"ssr-edge infer SOURCE --server {server}",
            )
    opened = Bundle.open(bundle) if bundle else None
    return Engine(opened, lambda single: open_server_runner(address, requests, retry_policy), "asked for")
