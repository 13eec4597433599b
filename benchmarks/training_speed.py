"""Compares the training speed of `ssr-edge train` with a plain torchvision loop on the same network and images.

    python benchmarks/training_speed.py BreaKHis_v1 --magnification 100

The plain loop is typical tutorial code: ImageFolder decodes and transforms (torchvision.transforms.v2) each image in
two DataLoader workers; Adam, FP32, default memory format. It omits quarter turns and averaged weights, which ours has.
Both train on the same images at 224 pixels with the recipe `modern` and evaluate the same val images after each epoch;
ours also writes its metrics and its state. Each measurement is a separate process whose first epoch is not counted
(ours decodes before it); ours and the plain loop take turns.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median, stdev

from ssr_edge.machine.environment import machine_facts, usable_cores

# Network and number of images: a large network takes seconds per image.
PLAN = (("ssresnext14_8x4d", 240), ("ssresnext50_32x4d", 40))
EPOCHS = 2
# Two-sided 95 % of Student's t, by degrees of freedom.
_STUDENT = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36}


@dataclass(frozen=True)
class Job:
    """folder: filled by `prepare`: ImageFolders `train` and `val`, and the same images as `data` with `split.csv`."""

    arch: str
    folder: Path
    batch_size: int


def ours(job: Job) -> list[float]:
    """Seconds of each epoch of `ssr_train.training.loop.train`, including evaluation and saving."""
    from ssr_train.models.arch import arch_by_name
    from ssr_train.training.device import choose_device
    from ssr_train.training.loop import TrainOptions, train

    run = job.folder / f"run-{time.monotonic_ns()}"
    run.mkdir()
    (run / "split.csv").write_bytes((job.folder / "split.csv").read_bytes())
    options = TrainOptions(
        run=run,
        data=job.folder / "data",
        arch=arch_by_name(job.arch),
        recipe=_recipe(job),
        magnification=None,
        split="image",
        seed=0,
        device=choose_device("cpu"),
        cache=job.folder / "cache",
    )
    train(options, True, lambda line: None)
    return [json.loads(line)["seconds"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def plain(job: Job) -> list[float]:
    """Seconds of each epoch of a plain loop, including evaluation."""
    import torch
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    from ssr_train.models.arch import arch_by_name
    from ssr_train.models.build import build_network
    from ssr_train.training.losses import classification_loss

    recipe, strength = _recipe(job), _recipe(job).augment.color_jitter
    as_input = [v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
    augmentation = [
        v2.RandomResizedCrop(224, (recipe.augment.crop_scale, 1.0)),
        v2.RandomHorizontalFlip(),
        v2.ColorJitter(strength, strength, strength, strength / 5),
    ]
    training = ImageFolder(job.folder / "train", v2.Compose([v2.ToImage(), *augmentation, *as_input]))
    validation = ImageFolder(job.folder / "val", v2.Compose([v2.ToImage(), v2.Resize((224, 224)), *as_input]))
    workers = {"batch_size": job.batch_size, "num_workers": 2, "persistent_workers": True}
    batches = DataLoader(training, shuffle=True, drop_last=True, **workers)  # type: ignore[arg-type]
    val_batches = DataLoader(validation, **workers)  # type: ignore[arg-type]
    network = build_network(arch_by_name(job.arch))
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    seconds = []
    for _ in range(EPOCHS):
        started = time.monotonic()
        network.train()
        for images, targets in batches:
            loss = classification_loss(network(images), targets, recipe.dice_weight, recipe.label_smoothing)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        network.eval()
        with torch.inference_mode():
            for images, _ in val_batches:
                network(images).argmax(1)
        seconds.append(time.monotonic() - started)
    return seconds


def prepare(data: Path, magnification: int | None, images: int, folder: Path) -> int:
    """Links a subset of the data in our layout and in that of ImageFolder; returns the number of training images."""
    from ssr_edge.breakhis.names import CLASSES
    from ssr_train.data.breakhis import contradictory_twins, read
    from ssr_train.data.splits import Part, Split

    records, _ = contradictory_twins(read(data, magnification))
    by_class = defaultdict(list)
    for record in records:
        by_class[record.label].append(record)
    chosen = [record for label in CLASSES for record in by_class[label][: images // len(CLASSES)]]
    parts: dict[str, Part] = {}
    for label in CLASSES:
        names = [record.name for record in chosen if record.label == label]
        last_val = max(1, len(names) // 8)
        parts |= {name: "test" if n == 0 else "val" if n <= last_val else "train" for n, name in enumerate(names)}
    split = Split("image", 0, parts)
    split.write(folder / "split.csv")
    rows = ["path,class,patient,magnification"]
    for record in chosen:
        part = split.parts[record.name]
        link = folder / part / record.label / record.path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(record.path.resolve())
        rows.append(f"{record.path.resolve()},{record.label},{record.patient},{record.magnification}")
    (folder / "data").mkdir()
    (folder / "data" / "index.csv").write_text("\n".join(rows) + "\n")
    return sum(part == "train" for part in split.parts.values())


def compare(data: Path, magnification: int | None, arch: str, images: int, rounds: int) -> str:
    """Measures one network and returns its table row."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        trained = prepare(data, magnification, images, folder)
        batch_size = 16 if trained >= 64 else 8
        shown = trained // batch_size * batch_size
        rates: dict[str, list[float]] = {"ours": [], "plain": []}
        for number in range(rounds):
            for which in ("ours", "plain") if number % 2 else ("plain", "ours"):
                command = [sys.executable, __file__, "--worker", which, arch, temporary, str(batch_size)]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    sys.exit(done.stderr)
                rates[which].append(shown / json.loads(done.stdout.splitlines()[-1])[-1])
    ratios = [a / b for a, b in zip(rates["ours"], rates["plain"], strict=True)]
    ratio, low, high = interval(ratios)
    found = " | ".join(f"{median(rates[which]):.2f}" for which in ("plain", "ours"))
    return f"| `{arch}` | {shown} | {batch_size} | {found} | {ratio:.2f} [{low:.2f}, {high:.2f}] |"


def interval(ratios: list[float]) -> tuple[float, float, float]:
    """Geometric mean of the ratios with its 95 % interval (Student's t on the logarithms)."""
    logs = [math.log(ratio) for ratio in ratios]
    half = _STUDENT[len(logs) - 1] * stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean(logs)), math.exp(mean(logs) - half), math.exp(mean(logs) + half)


def _recipe(job: Job):  # type: ignore[no-untyped-def]
    from ssr_train.training.recipe import load_recipe

    changes = {"epochs": EPOCHS, "batch_size": job.batch_size, "warmup_epochs": 0.0}
    return load_recipe("modern").model_copy(update=changes)


def main() -> None:
    """Prints a Markdown table with one row per network."""
    if sys.argv[1:2] == ["--worker"]:
        which, arch, folder, batch_size = sys.argv[2:]
        job = Job(arch, Path(folder), int(batch_size))
        print(json.dumps({"ours": ours, "plain": plain}[which](job)))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--magnification", type=int)
    parser.add_argument("--arch", nargs="+", default=[name for name, _ in PLAN])
    parser.add_argument("--images", type=int, help="number of images to use (default: by network)")
    parser.add_argument("--rounds", type=int, default=3, choices=range(2, 9))
    asked = parser.parse_args()
    print(f"{usable_cores()} cores of {machine_facts()['cpu']}, FP32 in the plain loop\n")
    print("| network | images per epoch | batch | plain, images/s | ssr-edge, images/s | ratio, 95 % |")
    print("|---|---|---|---|---|---|")
    for arch in asked.arch:
        images = asked.images or dict(PLAN).get(arch, 120)
        print(compare(asked.data, asked.magnification, arch, images, asked.rounds), flush=True)


if __name__ == "__main__":
    main()
