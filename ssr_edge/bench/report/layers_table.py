"""Prints where an engine's time goes: by block, and its slowest layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from ssr_edge.bench.profile.layers import Profile, by_block
from ssr_edge.bench.profile.roofline import BlockRoof, Roofline
from ssr_edge.bench.report.summary import describe_roofline
from ssr_edge.common.console import open_console
from ssr_edge.common.text import TIMES

if TYPE_CHECKING:
    from rich.table import Table

_MOST = 10


def print_layers(engine: str, profile: Profile, roofline: Roofline | None, file: TextIO) -> None:
    """Writes an engine's tables to a terminal or a file. roofline: None without one, e.g. on a GPU."""
    console = open_console(file)
    console.print(_block_table(engine, profile, roofline))
    console.print(_layer_table(engine, profile))
    console.print(
        f"Shares of the {profile.total_ms:.2f} ms spent in layers while profiling, median of {profile.calls} calls. "
        "Profiling slows an engine.",
        soft_wrap=True,
    )
    if roofline is not None:
        console.print(describe_roofline(engine, roofline), markup=False, soft_wrap=True, style="bold")


def _block_table(engine: str, profile: Profile, roofline: Roofline | None) -> Table:
    from rich.table import Table

    table = Table(title=f"{engine}, by block")
    table.add_column("block")
    for heading in ("share", "M multiply-adds", "ms", "bound ms", "gap") if roofline else ("share", "ms"):
        table.add_column(heading, justify="right")
    times = by_block(profile.layers)
    shares = {block: f"{100 * ms / profile.total_ms:.1f}%" for block, ms in times.items()}
    if roofline is None:
        for block, ms in times.items():
            table.add_row(block, shares[block], f"{ms:.3f}")
        return table
    for roof in roofline.blocks:
        table.add_row(roof.block, shares.get(roof.block, "-"), *_bounds(roof))
    table.add_section()
    table.add_row(
        "network",
        "100.0%",
        f"{roofline.operations / 1e6:.1f}",
        f"{roofline.measured_ms:.3f}",
        f"{roofline.bound_ms:.3f}",
        f"{roofline.gap:.2f}{TIMES}",
    )
    return table


def _bounds(roof: BlockRoof) -> tuple[str, str, str, str]:
    return (
        f"{roof.operations / 1e6:.1f}",
        f"{roof.measured_ms:.3f}",
        f"{roof.bound_ms:.3f}" if roof.bound_ms else "-",
        "-" if roof.gap is None else f"{roof.gap:.2f}{TIMES}",
    )


def _layer_table(engine: str, profile: Profile) -> Table:
    from rich.table import Table
    from rich.text import Text

    slowest = sorted(profile.layers, key=lambda layer: -layer.ms)[:_MOST]
    table = Table(title=f"{engine}, the {len(slowest)} slowest of {len(profile.layers)} layers")
    for heading in ("layer", "kind", "precision"):
        table.add_column(heading)
    for heading in ("ms", "share"):
        table.add_column(heading, justify="right")
    for layer in slowest:
        # Names come from files: rich would read brackets in them as markup.
        name, kind = Text(layer.name), Text(layer.kind)
        table.add_row(
            name, kind, layer.precision or "-", f"{layer.ms:.3f}", f"{100 * layer.ms / profile.total_ms:.1f}%"
        )
    return table
