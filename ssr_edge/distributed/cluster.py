"""Starts or joins Ray, without output or usage reports, and computes how many actors fit."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from ssr_edge.common.errors import RuntimeUnavailable
from ssr_edge.common.install_hint import install_hint

# Read when Ray is imported. Usage reports are always off; the _QUIET defaults only reduce terminal output.
_ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
_QUIET = {"RAY_BACKEND_LOG_LEVEL": "fatal", "RAY_DATA_DISABLE_PROGRESS_BARS": "1"}
_CONNECT_TIMEOUT_S = 5.0
# The address that starts Ray on this machine.
LOCAL = "local"


def import_ray() -> Any:
    """The package, with Ray Data.

    Raises:
        RuntimeUnavailable: it is not installed.
    """
    os.environ.update(_ENVIRONMENT)
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise RuntimeUnavailable(
            f"{error.name or error} is not installed",
            expected="the packages of the extra 'ray'",
            next_step=install_hint("ray"),
        ) from error
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    return ray


@contextmanager
def joined(address: str) -> Iterator[Any]:
    """Yields Ray's module, connected. address: HOST:PORT of a cluster, or `local` to start Ray here for the block only.

    Raises:
        RuntimeUnavailable: Ray is not installed, or there is no cluster at the address.
    """
    ray = import_ray()
    try:
        if address != LOCAL:
            _check_reachable(address)
        quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
        with _no_stderr():
            ray.init(address=address, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        raise RuntimeUnavailable(
            f"can't connect to Ray at {address}: {str(error).strip().splitlines()[0]}",
            expected="HOST:6379 of a cluster that includes this machine, with the same Ray and Python versions",
            next_step="ray start --head --disable-usage-stats  (on the first node), or --ray local",
        ) from error
    # Ray prints process events to stdout, which may be the destination of the results.
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        try:
            yield ray
        finally:
            ray.shutdown()


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Silences stderr at the file descriptor, which Ray's core writes to. Errors are raised as exceptions too."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _check_reachable(address: str) -> None:
    """Fails fast: Ray itself retries for many minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError("not HOST:PORT")
    with socket.create_connection((host, int(port)), _CONNECT_TIMEOUT_S):
        pass


def nodes(ray: Any) -> list[dict[str, float]]:
    """Resources of each live node: `CPU`, `GPU` and more."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def room(ray: Any, cores: int, gpus: float) -> int:
    """How many actors of a given size fit on otherwise idle nodes."""
    return sum(_fit(resources, cores, gpus) for resources in nodes(ray))


def _fit(resources: dict[str, float], cores: int, gpus: float) -> int:
    fit = int(resources.get("CPU", 0) // cores)
    return min(fit, int(resources.get("GPU", 0) / gpus)) if gpus else fit
