"""The training loop, top to bottom: images -> epochs -> checkpoint.

    ssr-edge train --data BreaKHis_v1 --arch ssresnext50_32x4d --recipe paper
    ssr-edge train --run runs/NAME --resume          goes on where a killed run stopped
    ssr-edge train --qat CHECKPOINT                  fine-tunes in INT8's arithmetic: another start, the same loop

A run is a folder: run.json (what was asked), split.csv, metrics.jsonl (a line an epoch), state.safetensors (to resume
from) and, at the end, checkpoint.safetensors. Randomness is seeded anew at each epoch from the run's seed, so an epoch
that is done again after a kill gives what it would have given. Nothing is chosen by looking at val or test: the
checkpoint is the last epoch's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ssr_edge.errors import DataError, TrainingError
from ssr_edge.files import replacing
from ssr_edge.metrics import Metrics
from ssr_edge.preprocess import IMAGE_SIZE
from ssr_edge.progress import progress
from ssr_train.arch import Arch
from ssr_train.augment import STORED_SIZE, Augment
from ssr_train.breakhis import Record, contradictory_twins, read
from ssr_train.build import build_network
from ssr_train.checkpoint import CheckpointCard, save_checkpoint
from ssr_train.dataset import LabelledImages, load_images, normalise, to_rgb
from ssr_train.device import autocast_dtype, tool_versions
from ssr_train.evaluate import evaluate_images
from ssr_train.folded import is_folded
from ssr_train.losses import classification_loss
from ssr_train.network import Network
from ssr_train.pretrained import load_pretrained
from ssr_train.recipe import Recipe
from ssr_train.splits import Part, Split, SplitKind, make_split, missing_classes
from ssr_train.state import STATE, load_state, save_state


@dataclass(frozen=True)
class Source:
    """The checkpoint that a run fine-tunes, or the weights that it starts from, and their hash when it was begun."""

    checkpoint: Path
    sha256: str


@dataclass(frozen=True)
class TrainOptions:
    """What a run needs to know. data: folder of images. device: `cpu`, `cuda`, `cuda:1` ...

    source: of a fine-tuning run; `arch`, `magnification` and `split` are then its. init_from: public weights to start
    from (`ssr_train.pretrained`).
    """

    run: Path
    data: Path
    arch: Arch
    recipe: Recipe
    magnification: int | None
    split: SplitKind
    seed: int
    device: str
    source: Source | None = None
    init_from: Source | None = None


@dataclass(frozen=True)
class Start:
    """What a fine-tuning run starts from instead of random weights and a new split.

    network: what is trained: it computes as INT8 does. split: that of its source, so that no image which was held out
    is trained on. plain: takes the trained network and returns a copy with the same weights that computes in FP32.
    """

    network: Network
    split: Split
    plain: Callable[[Network], Network]


def train(options: TrainOptions, resume: bool, say: Callable[[str], None], start: Start | None = None) -> Path:
    """Trains a network and returns the path of its checkpoint. say: prints one line for the user.

    start: of a fine-tuning run (`ssr_export.qat`); None begins with random weights.

    Raises:
        DataError: images or split that can't be used.
        TrainingError: the loss is no longer a number.
    """
    recipe, device = options.recipe, torch.device(options.device)
    torch.manual_seed(options.seed)

    # Data: every image decoded once, val and test exactly as inference will see them.
    records, twins = contradictory_twins(read(options.data, options.magnification))
    if twins:
        names = ", ".join(record.name for record in twins[0])
        say(f"dropped {sum(map(len, twins))} images: the same pixels under two labels (for instance {names})")
    # A resumed run keeps its division: made anew from a folder that has changed, it could test on training images.
    split_file = options.run / "split.csv"
    if resume and split_file.exists():
        split = Split.read(split_file)
    else:
        split = start.split if start else make_split(records, options.split, options.seed)
    for part in ("train", "val", "test"):
        if missing := missing_classes(records, split, part):
            say(f"{part} has no image of {', '.join(missing)}: its figures leave these classes out")
    training = _load(split, records, "train", STORED_SIZE, say)
    validation = _load(split, records, "val", IMAGE_SIZE, say)
    say(f"{len(training)} images to train on, {len(validation)} to watch, on {device} as {options.run}")
    options.run.mkdir(parents=True, exist_ok=True)
    split.write(split_file)

    # Network, its optimiser and its average.
    network = start.network if start else build_network(options.arch)
    if options.init_from is not None and not (resume and (options.run / STATE).exists()):
        load_pretrained(options.init_from.checkpoint, network, options.init_from.sha256)
        say(f"started from {options.init_from.checkpoint} ({options.init_from.sha256[:12]})")
    network = network.to(device).to(memory_format=torch.channels_last)
    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema_decay), use_buffers=True)  # type: ignore[no-untyped-call]
    optimiser = _optimiser(network, recipe)
    first_epoch = load_state(options.run, network, averaged, optimiser) if resume else 0
    # bfloat16 keeps eight bits of a value: with it, INT8's own rounding would drown.
    dtype = None if start else autocast_dtype(device)
    if start and first_epoch == 0:
        _judge(network, start, validation, "val before", device, say)
    # A last batch of one image would have no variance for BatchNorm; the images left over change every epoch.
    steps = max(1, len(training) // recipe.batch_size)

    with progress("training, epoch", recipe.epochs) as advance:
        advance(first_epoch, "")
        for epoch in range(first_epoch, recipe.epochs):
            started = time.monotonic()
            torch.manual_seed(options.seed * 100_003 + epoch)
            augment = Augment(recipe.augment, recipe.image_size_at(epoch))
            network.train()
            order = torch.randperm(len(training))
            total_loss = 0.0
            for step in range(steps):
                chosen = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
                images = augment(to_rgb(training.pixels[chosen.numpy()])).to(device)  # uint8 [b, 3, size, size]
                images = normalise(images).to(memory_format=torch.channels_last)
                targets = training.targets[chosen].to(device)
                for group in optimiser.param_groups:
                    group["lr"] = recipe.learning_rate_at(epoch * steps + step, steps)
                with torch.autocast(device.type, dtype, enabled=dtype is not None):
                    logits = network(images)
                loss = classification_loss(logits.float(), targets, recipe.dice_weight, recipe.label_smoothing)
                total_loss += _finite(loss, epoch)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                if recipe.ema_decay:
                    averaged.update_parameters(network)

            final = _final(network, averaged, recipe)
            found, _ = evaluate_images(final, validation, device, dtype)
            line = {
                "epoch": epoch + 1,
                "learning_rate": optimiser.param_groups[0]["lr"],
                "train_loss": total_loss / steps,
                "val_accuracy": found.accuracy,
                "val_macro_f1": found.macro_f1,
            }
            # The line first: a run killed between the two does the epoch again, and the same line again.
            _log(options.run, line, time.monotonic() - started)
            save_state(options.run, epoch + 1, network, averaged, optimiser)
            advance(1, f"loss {total_loss / steps:.3f}, val macro-F1 {found.macro_f1:.3f}")

    # The last epoch's weights, judged on what they have not seen, in the precision that they are exported in.
    final = _final(network, averaged, recipe)
    testing = _load(split, records, "test", IMAGE_SIZE, say)
    metrics = {
        part: asdict(_judge(final, start, images_of_part, part, device, say))
        for part, images_of_part in (("val", validation), ("test", testing))
    }
    saved = start.plain(final) if start else final
    checkpoint = options.run / "checkpoint.safetensors"
    save_checkpoint(checkpoint, saved, _card(options, split, metrics, is_folded(saved)))
    return checkpoint


def _load(split: Split, records: list[Record], part: Part, size: int, say: Callable[[str], None]) -> LabelledImages:
    images = load_images(split.select(records, part), size)
    for reason in images.unreadable:
        say(f"left out: {reason}")
    if not len(images):
        raise DataError(
            f"no readable image in {part}",
            expected="images that open",
            next_step="copy the data set again, then ssr-edge train --data FOLDER",
        )
    return images


def _final(network: Network, averaged: AveragedModel, recipe: Recipe) -> Network:
    """The weights that the run would end with: averaged ones where the recipe asks for them."""
    if not recipe.ema_decay:
        return network
    assert isinstance(averaged.module, Network)
    return averaged.module


def _judge(
    network: Network,
    start: Start | None,
    images: LabelledImages,
    name: str,
    device: torch.device,
    say: Callable[[str], None],
) -> Metrics:
    """Figures in FP32, said aloud; of a fine-tuning run those in INT8 too."""
    found, _ = evaluate_images(start.plain(network) if start else network, images, device, None)
    say(f"{name}: macro-F1 {found.macro_f1:.3f}, accuracy {found.accuracy:.3f} on {found.images} images")
    if start:
        int8, _ = evaluate_images(network, images, device, None)
        say(f"{name}, INT8: macro-F1 {int8.macro_f1:.3f}, accuracy {int8.accuracy:.3f} on {int8.images} images")
    return found


def _optimiser(network: Network, recipe: Recipe) -> torch.optim.Optimizer:
    # Decay pulls weights towards zero; a bias or a BatchNorm's scale has no reason to be small.
    decayed = [p for p in network.parameters() if p.dim() >= 2]
    others = [p for p in network.parameters() if p.dim() < 2]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=recipe.learning_rate)


def _finite(loss: Tensor, epoch: int) -> float:
    value = float(loss.detach())
    if value != value or value in (float("inf"), float("-inf")):
        raise TrainingError(
            f"the loss became {value} in epoch {epoch + 1}",
            expected="a finite loss",
            next_step="lower learning_rate in the recipe, then ssr-edge train --recipe FILE.toml",
        )
    return value


def _log(run: Path, line: dict[str, float], seconds: float) -> None:
    path = run / "metrics.jsonl"
    rows = [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []
    rows = [row for row in rows if row["epoch"] < line["epoch"]] + [line | {"seconds": round(seconds, 2)}]
    with replacing(path) as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _card(options: TrainOptions, split: Split, metrics: dict[str, dict[str, object]], folded: bool) -> CheckpointCard:
    return CheckpointCard(
        arch=options.arch.to_dict(),
        magnification=options.magnification,
        recipe=options.recipe.model_dump(),
        seed=options.seed,
        epochs=options.recipe.epochs,
        data=str(options.data.resolve()),
        split_kind=split.kind,
        split_seed=split.seed,
        split=dict(split.parts),
        metrics=metrics,
        tools=tool_versions(),
        folded=folded,
        fine_tuned_from=options.source.sha256 if options.source else None,
        initialised_from=options.init_from.sha256 if options.init_from else None,
    )
