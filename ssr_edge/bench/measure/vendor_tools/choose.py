"""Selects a vendor's benchmark tool, which runs the same model file as our engine."""

from __future__ import annotations

from ssr_edge.bench.measure.vendor_tools.base import VendorTimes, VendorTool
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import UsageError

__all__ = ["VENDOR_TOOLS", "VendorTimes", "VendorTool", "open_vendor_tool"]

# Tool -> runtime whose engines it runs.
VENDOR_TOOLS = {"benchmark_app": "openvino", "trtexec": "tensorrt"}


def open_vendor_tool(name: str, bundle: Bundle, precision: str) -> VendorTool:
    """Locates a tool and the bundle's file for it. name: one of VENDOR_TOOLS. precision: that of the engine to compare.

    Raises:
        UsageError: unknown tool. RuntimeUnavailable: it is not installed, or its device is missing.
        BundleError: the bundle has no file for it, or the file was changed.
    """
    if name not in VENDOR_TOOLS:
        raise UsageError(
            f"unknown vendor tool {name!r}", expected=", ".join(VENDOR_TOOLS), next_step="ssr-edge bench --help"
        )
    if name == "benchmark_app":
        from ssr_edge.bench.measure.vendor_tools.benchmark_app import BenchmarkApp

        return BenchmarkApp(bundle, precision)
    from ssr_edge.bench.measure.vendor_tools.trtexec import Trtexec

    return Trtexec(bundle, precision)
