"""A job's core-hours, hours, cost and its narrowest place, from measured figures: the tables of docs/scale.md.

    python benchmarks/scale.py --images 100e6 --core-ms 26.2 --decode-ms 9.6 --core-price 0.04

Every default is a figure of docs/scale.md, where its origin is said; prices and the file server are assumptions.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

NODES = (1, 4, 16, 64, 256)
GPU_RATES = (500, 1000, 2000, 5000)


@dataclass(frozen=True)
class Figures:
    """core_ms: of a core, an image, end to end, measured without Ray. efficiency: rate with Ray over without.

    start_s: before the first part. decode_ms: of a core, an image. image_kb: in its file. storage_gb_s: that the file
    server delivers. parts_s: handed out by one driver. table_rows_s: made into one CSV. part_size: images. cores: of a
    node. core_price, gpu_price: of an hour.
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
        """Of the whole job."""
        return self.images * self.core_ms / 1000 / self.efficiency / 3600

    def limits(self, nodes: int) -> dict[str, float]:
        """Images a second that each stage would do by itself on so many nodes."""
        return {
            "cores": nodes * self.cores * 1000 / self.core_ms * self.efficiency,
            "file server": self.storage_gb_s * 1e6 / self.image_kb,
            "driver": self.parts_s * self.part_size,
        }


def main() -> None:
    """Prints three Markdown tables: the job, by nodes, and what a GPU needs beside it."""
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
    parser.add_argument("--cores", type=int, default=16, help="of a node")
    parser.add_argument("--core-price", type=float, default=0.04)
    parser.add_argument("--gpu-price", type=float, default=0.60)
    f = Figures(**vars(parser.parse_args()))
    million = f.core_hours / f.images * 1e6
    print(f"{f.core_hours:,.0f} core-hours, {f.core_hours * f.core_price:,.0f} at {f.core_price} a core-hour;")
    print(f"a million images: {million:.2f} core-hours, {million * f.core_price:.2f}\n")
    print(
        f"| nodes of {f.cores} cores | images/s | narrowest | hours | one CSV, hours more | paid, idle cores included |"
    )
    print("|---|---|---|---|---|---|")
    for nodes in NODES:
        narrowest, rate = min(f.limits(nodes).items(), key=lambda limit: limit[1])
        hours = f.images / rate / 3600 + f.start_s / 3600
        paid = hours * nodes * f.cores * f.core_price
        table = f.images / f.table_rows_s / 3600
        print(f"| {nodes} | {rate:,.0f} | {narrowest} | {hours:,.1f} | {table:.1f} | {paid:,.0f} |")
    print("\n| GPU, images/s | cores that decode for it | MB/s of files | cost of a million |\n|---|---|---|---|")
    for rate in GPU_RATES:
        cores = rate * f.decode_ms / 1000
        price = 1e6 / rate / 3600 * (f.gpu_price + cores * f.core_price)
        print(f"| {rate:,} | {cores:.0f} | {rate * f.image_kb / 1000:,.0f} | {price:.2f} |")


if __name__ == "__main__":
    main()
