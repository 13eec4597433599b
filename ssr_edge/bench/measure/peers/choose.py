"""The vendors' own benchmark tools, run on the very file that our engine runs, to compare its time with theirs."""

from __future__ import annotations

from ssr_edge.bench.measure.peers.base import Peer, PeerTimes
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import UsageError

__all__ = ["PEERS", "Peer", "PeerTimes", "open_peer"]

# Each tool and the runtime whose engines it runs.
PEERS = {"benchmark_app": "openvino", "trtexec": "tensorrt"}


def open_peer(name: str, bundle: Bundle, precision: str) -> Peer:
    """Finds a tool and the bundle's file for it. name: of PEERS. precision: of the engine to compare with.

    Raises:
        UsageError: no such tool. RuntimeUnavailable: it is not installed, or its device is missing.
        BundleError: the bundle has no file for it, or the file was changed.
    """
    if name not in PEERS:
        raise UsageError(f"peer {name!r} is not known", expected=", ".join(PEERS), next_step="ssr-edge bench --help")
    if name == "benchmark_app":
        from ssr_edge.bench.measure.peers.benchmark_app import BenchmarkApp

        return BenchmarkApp(bundle, precision)
    from ssr_edge.bench.measure.peers.trtexec import Trtexec

    return Trtexec(bundle, precision)
