"""Computes core-hours, duration, cost and bottleneck of a large job from measured figures: the tables of docs/scale.md.

    python benchmarks/scale.py --images 100e6 --core-ms 26.2 --decode-ms 9.6 --core-price 0.04

Every default is documented in docs/scale.md with its source; prices and the file server are assumptions.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

NODES = (1, 4, 16, 64, 256)
GPU_RATES = (500, 1000, 2000, 5000)


@dataclass(frozen=True)
class Figures:
    """Inputs of the estimate.

    core_ms: core-milliseconds per image, end to end, without Ray. efficiency: rate with Ray / rate without. start_s:
    startup, seconds. decode_ms: core-milliseconds per image for decoding. image_kb: file size. storage_gb_s: of the
    file server. parts_s: chunks per second of one driver. table_rows_s: rows per second written to one CSV. part_size:
    images per chunk. cores: per node. core_price, gpu_price: per hour.
    """

    images: float
    core_ms: float
    efficiency: float
    start_s: float
    decode_ms: float
    image_kb: float
    storage_gb_s: float
    parts_s: float
    table_rows_s: float
    part_size: int
    cores: int
    core_price: float
    gpu_price: float

    @property
    def core_hours(self) -> float:
        """Core-hours of the whole job."""
        return self.images * self.core_ms / 1000 / self.efficiency / 3600

    def limits(self, nodes: int) -> dict[str, float]:
        """Images per second of each stage alone on this number of nodes."""
        return {
            "cores": nodes * self.cores * 1000 / self.core_ms * self.efficiency,
            "file server": self.storage_gb_s * 1e6 / self.image_kb,
            "driver": self.parts_s * self.part_size,
        }


def main() -> None:
    """Prints the totals and two Markdown tables: by number of nodes, and the requirements per GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=float, default=100e6)
    parser.add_argument("--core-ms", type=float, default=26.2)
    parser.add_argument("--efficiency", type=float, default=1.0)
    parser.add_argument("--start-s", type=float, default=19)
    parser.add_argument("--decode-ms", type=float, default=9.6)
    parser.add_argument("--image-kb", type=float, default=560)
    parser.add_argument("--storage-gb-s", type=float, default=1.25)
    parser.add_argument("--parts-s", type=float, default=57)
    parser.add_argument("--table-rows-s", type=float, default=19_200)
    parser.add_argument("--part-size", type=int, default=1000)
    parser.add_argument("--cores", type=int, default=16, help="per node")
    parser.add_argument("--core-price", type=float, default=0.04)
    parser.add_argument("--gpu-price", type=float, default=0.60)
    f = Figures(**vars(parser.parse_args()))
    million = f.core_hours / f.images * 1e6
    print(f"{f.core_hours:,.0f} core-hours, {f.core_hours * f.core_price:,.0f} at {f.core_price} per core-hour;")
    print(f"per million images: {million:.2f} core-hours, {million * f.core_price:.2f}\n")
    print(
        f"| nodes of {f.cores} cores | images/s | bottleneck | hours | hours more for one CSV | cost with idle cores |"
    )
    print("|---|---|---|---|---|---|")
    for nodes in NODES:
        bottleneck, rate = min(f.limits(nodes).items(), key=lambda limit: limit[1])
        hours = f.images / rate / 3600 + f.start_s / 3600
        paid = hours * nodes * f.cores * f.core_price
        table = f.images / f.table_rows_s / 3600
        print(f"| {nodes} | {rate:,.0f} | {bottleneck} | {hours:,.1f} | {table:.1f} | {paid:,.0f} |")
    print("\n| GPU, images/s | decoding cores | MB/s of files | cost per million |\n|---|---|---|---|")
    for rate in GPU_RATES:
        cores = rate * f.decode_ms / 1000
        price = 1e6 / rate / 3600 * (f.gpu_price + cores * f.core_price)
        print(f"| {rate:,} | {cores:.0f} | {rate * f.image_kb / 1000:,.0f} | {price:.2f} |")


if __name__ == "__main__":
    main()
