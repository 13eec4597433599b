"""The training loop, top to bottom: images -> epochs -> checkpoint.

    ssr-edge train --data BreaKHis_v1 --arch ssresnext50_32x4d --recipe paper
    ssr-edge train --run runs/NAME --resume          resumes a killed run
    ssr-edge train --qat CHECKPOINT                  fine-tunes with INT8 arithmetic: another start, the same loop

A run is a folder: run.json (the options), split.csv, metrics.jsonl (one line per epoch), state.safetensors (to resume
from) and, at the end, checkpoint.safetensors and curves.svg. Random generators are seeded at each epoch from the seed
of the run, so an epoch repeated after a kill has the same result. Several processes (`processes.py`) draw the same
batches and share each of them. Nothing is selected on val or test: the checkpoint is that of the last epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ssr_edge.common.errors import DataError, TrainingError
from ssr_edge.common.progress import Log, progress
from ssr_edge.evaluation.metrics import Metrics
from ssr_edge.images.preprocess import IMAGE_SIZE
from ssr_train.data.augment import STORED_SIZE, Augment
from ssr_train.data.breakhis import Record, contradictory_twins, read
from ssr_train.data.dataset import LabeledImages, draw_order, load_images, normalize, upload
from ssr_train.data.image_cache import open_image_cache
from ssr_train.data.split_messages import differences, missing_classes
from ssr_train.data.splits import Part, Split, SplitKind, make_split
from ssr_train.evaluation.predict import evaluate_images
from ssr_train.models.arch import Arch
from ssr_train.models.build import build_network
from ssr_train.models.folded import is_folded
from ssr_train.models.network import Network
from ssr_train.models.pretrained import load_pretrained
from ssr_train.training.checkpoint import CheckpointCard, save_checkpoint
from ssr_train.training.cuda_graph import record_graphs
from ssr_train.training.device import autocast_dtype, tool_versions
from ssr_train.training.gradients import backward
from ssr_train.training.journal import draw_curves, log_epoch, open_board
from ssr_train.training.losses import classification_loss
from ssr_train.training.processes import Processes, check_batch, joined_processes
from ssr_train.training.recipe import Recipe
from ssr_train.training.state import STATE, load_state, save_state

# Share of the time spent saving: on a GPU, saving a large network can take longer than an epoch of a small data set.
_SAVING_SHARE = 0.05


@dataclass(frozen=True)
class Source:
    """The checkpoint that a run fine-tunes, or the weights that it starts from, and their hash when the run started."""

    checkpoint: Path
    sha256: str


@dataclass(frozen=True)
class TrainOptions:
    """The options of a run. data: folder of images. device: `cpu`, `cuda`, `cuda:1` ...

    split: kind of split to make, or a split file. source: the checkpoint that a fine-tuning run starts from; `arch`,
    `magnification` and `split` are then taken from it. cache: folder of decoded images shared by runs; None decodes for
    this run only. tensorboard: also write TensorBoard events into the folder of the run. init_from: public weights to
    start from (`ssr_train.models.pretrained`).
    """

    run: Path
    data: Path
    arch: Arch
    recipe: Recipe
    magnification: int | None
    split: SplitKind | Path
    seed: int
    device: str
    source: Source | None = None
    cache: Path | None = None
    tensorboard: bool = False
    init_from: Source | None = None


@dataclass(frozen=True)
class Start:
    """The start of a fine-tuning run, instead of random weights and a new split.

    network: computes with simulated INT8. split: the split of its source, so that held-out images are not trained on.
    plain: returns an FP32 copy of the trained network with the same weights.
    """

    network: Network
    split: Split
    plain: Callable[[Network], Network]


def train(options: TrainOptions, resume: bool, log: Log, start: Start | None = None) -> Path:
    """Trains a network and returns the path of its checkpoint.

    start: of a fine-tuning run (`ssr_export.int8.qat`); None starts from random weights.

    Raises:
        DataError: the images or the split can't be used.
        TrainingError: the loss is not finite, or the processes see different images.
        UsageError: the batch can't be divided evenly among the processes.
    """
    with joined_processes(torch.device(options.device)) as processes:
        return _train(options, resume, log if processes.first else lambda line: None, start, processes)


def _train(options: TrainOptions, resume: bool, log: Log, start: Start | None, processes: Processes) -> Path:
    recipe, device = options.recipe, torch.device(options.device)
    torch.manual_seed(options.seed)

    # Data: every image is decoded once; val and test are preprocessed exactly as for inference.
    records = read(options.data, options.magnification)
    cache = open_image_cache(options.cache, records, (STORED_SIZE, IMAGE_SIZE), log) if options.cache else None
    records, twins = contradictory_twins(records, cache.digests.get if cache else None)
    if twins:
        names = ", ".join(record.name for record in twins[0])
        log(f"dropped {sum(map(len, twins))} images: the same pixels under two labels (e.g. {names})")
    # A resumed run keeps its split: a new split of a changed folder could test on training images.
    split_file = options.run / "split.csv"
    if resume and split_file.exists():
        split = Split.read(split_file)
    else:
        split = start.split if start else _split(records, twins, options, log)
    for reason in missing_classes(records, split):
        log(f"{reason}: metrics exclude this class")
    load = cache.load if cache else load_images
    training = _readable(load(split.select(records, "train"), STORED_SIZE), "train", log)
    validation = _readable(load(split.select(records, "val"), IMAGE_SIZE), "val", log)
    log(f"{len(training)} train images, {len(validation)} val images, on {device}, in {options.run}")
    if processes.first:
        options.run.mkdir(parents=True, exist_ok=True)
        split.write(split_file)

    # The network, its optimizer and its averaged weights.
    network = start.network if start else build_network(options.arch)
    if options.init_from is not None and not (resume and (options.run / STATE).exists()):
        load_pretrained(options.init_from.checkpoint, network, options.init_from.sha256)
        log(f"initialized from {options.init_from.checkpoint} ({options.init_from.sha256[:12]})")
    network = network.to(device).to(memory_format=torch.channels_last)
    processes.prepare(network, device)
    averaged = AveragedModel(network, multi_avg_fn=_average(recipe.ema_decay), use_buffers=True)
    optimizer = _optimizer(network, recipe)
    first_epoch = load_state(options.run, network, averaged, optimizer) if resume else 0
    processes.check_agreement({"number of epochs done": first_epoch, "number of train images": len(training)})
    # bfloat16 has a precision of 8 bits, which would hide the rounding of INT8.
    dtype = None if start else autocast_dtype(device)
    if start and first_epoch == 0:
        _evaluate(network, start, validation, "val before", device, log)
    # Incomplete batches are dropped: BatchNorm needs more than one image. The images left out change every epoch.
    steps, batch_size = max(1, len(training) // recipe.batch_size), min(recipe.batch_size, len(training))
    check_batch(batch_size, processes, recipe.accumulate)
    wrapped = processes.wrap(network)
    board = open_board(options.run, first_epoch) if options.tensorboard and processes.first else None
    # A graph records one pass over one batch; micro-batches need several passes, and processes communicate in between.
    graphed = device.type == "cuda" and processes.count == recipe.accumulate == 1 and start is None
    save_at = 0.0  # after the first epoch, later as _SAVING_SHARE allows

    with progress("training, epoch", recipe.epochs, quiet=not processes.first) as advance:
        advance(first_epoch, "")
        for epoch in range(first_epoch, recipe.epochs):
            started = time.monotonic()
            torch.manual_seed(options.seed * 100_003 + epoch)
            size = recipe.image_size_at(epoch)
            augment = Augment(recipe.augment, size)
            network.train()
            if graphed and (epoch == first_epoch or size != recipe.image_size_at(epoch - 1)):
                record_graphs(network, batch_size, size, dtype)
            order = draw_order(training.targets, recipe.sampling)
            total_loss = torch.zeros((), device=device)
            for step in range(steps):
                chosen = order[step * batch_size : (step + 1) * batch_size]
                views = augment.draw(batch_size)
                micro_batches = []
                for rows in _micro_batches(batch_size, recipe.accumulate, processes):
                    stored = upload(training.rgb(chosen[rows]), device)
                    images = augment(stored, views[rows])  # uint8 [b, 3, size, size]
                    micro_batches.append(normalize(images).to(memory_format=torch.channels_last))
                loss_of = _loss_of(training.targets[chosen].to(device), recipe)
                for group in optimizer.param_groups:
                    group["lr"] = recipe.learning_rate_at(epoch * steps + step, steps)
                optimizer.zero_grad(set_to_none=True)
                total_loss += backward(wrapped, micro_batches, loss_of, processes, dtype)
                optimizer.step()
                if recipe.ema_decay:
                    averaged.update_parameters(network)
            # Read once per epoch: on a GPU, reading waits for all pending computation.
            train_loss = _finite(total_loss / steps, epoch)
            if not processes.first:
                continue

            final = _final(network, averaged, recipe)
            metrics, _ = evaluate_images(final, validation, device, dtype)
            line = {
                "epoch": epoch + 1,
                "learning_rate": optimizer.param_groups[0]["lr"],
                "train_loss": train_loss,
                "val_accuracy": metrics.accuracy,
                "val_macro_f1": metrics.macro_f1,
                "seconds": round(time.monotonic() - started, 2),
            }
            # The line is written first: a run killed before the state is saved repeats the epoch and rewrites the line.
            log_epoch(options.run, line, board)
            now = time.monotonic()
            if now >= save_at or epoch + 1 == recipe.epochs:
                save_state(options.run, epoch + 1, network, averaged, optimizer)
                save_at = time.monotonic() + (time.monotonic() - now) * (1 / _SAVING_SHARE - 1)
            advance(1, f"loss {train_loss:.3f}, val macro-F1 {metrics.macro_f1:.3f}")

    checkpoint = options.run / "checkpoint.safetensors"
    if not processes.first:
        return checkpoint
    # The weights of the last epoch, evaluated on held-out images in FP32, the precision of the checkpoint.
    final = _final(network, averaged, recipe)
    testing = _readable(load(split.select(records, "test"), IMAGE_SIZE), "test", log)
    metrics_of = {
        part: asdict(_evaluate(final, start, images_of_part, part, device, log))
        for part, images_of_part in (("val", validation), ("test", testing))
    }
    saved = start.plain(final) if start else final
    save_checkpoint(checkpoint, saved, _card(options, split, metrics_of, is_folded(saved)))
    draw_curves(options.run)
    return checkpoint


def _split(records: list[Record], twins: list[list[Record]], options: TrainOptions, log: Log) -> Split:
    if not isinstance(options.split, Path):
        return make_split(records, options.split, options.seed)
    split = Split.read(options.split)
    for difference in differences(split, records, list(chain.from_iterable(twins))):
        log(f"{options.split}: {difference}")
    return split


def _micro_batches(images: int, count: int, processes: Processes) -> list[slice]:
    """The rows of each micro-batch that this process computes."""
    length = images // count
    return [processes.share(slice(number * length, (number + 1) * length)) for number in range(count)]


def _loss_of(targets: Tensor, recipe: Recipe) -> Callable[[Tensor], Tensor]:
    return lambda logits: classification_loss(logits, targets, recipe.dice_weight, recipe.label_smoothing)


def _readable(images: LabeledImages, part: Part, log: Log) -> LabeledImages:
    for reason in images.unreadable:
        log(f"left out: {reason}")
    if not len(images):
        raise DataError(
            f"no readable image in {part}",
            expected="images that can be decoded",
            next_step="copy the data set again, then ssr-edge train --data FOLDER",
        )
    return images


def _final(network: Network, averaged: AveragedModel, recipe: Recipe) -> Network:
    """The network with the final weights: averaged if the recipe has an `ema_decay`."""
    if not recipe.ema_decay:
        return network
    assert isinstance(averaged.module, Network)
    return averaged.module


def _evaluate(
    network: Network,
    start: Start | None,
    images: LabeledImages,
    name: str,
    device: torch.device,
    log: Log,
) -> Metrics:
    """Evaluates and logs FP32 metrics; for a fine-tuning run also logs INT8 metrics."""
    fp32, _ = evaluate_images(start.plain(network) if start else network, images, device, None)
    log(f"{name}: macro-F1 {fp32.macro_f1:.3f}, accuracy {fp32.accuracy:.3f} on {fp32.images} images")
    if start:
        int8, _ = evaluate_images(network, images, device, None)
        log(f"{name}, INT8: macro-F1 {int8.macro_f1:.3f}, accuracy {int8.accuracy:.3f} on {int8.images} images")
    return fp32


def _average(decay: float) -> Callable[[Any, Any, Any], None]:
    """Exponential moving average of weights and BatchNorm statistics; counters are copied."""
    move = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]

    def update(averaged: list[Tensor], current: list[Tensor], updates: Tensor) -> None:
        if averaged[0].is_floating_point():
            move(averaged, current, updates)
        else:  # PyTorch's default would launch four kernels per tensor
            torch._foreach_copy_(averaged, current)

    return update


def _optimizer(network: Network, recipe: Recipe) -> torch.optim.Optimizer:
    # Weight decay for weights only: there is no reason for small biases or BatchNorm scales.
    decayed = [p for p in network.parameters() if p.dim() >= 2]
    others = [p for p in network.parameters() if p.dim() < 2]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    # fused: one call for all parameters is several times faster, also on a CPU.
    return kind(groups, lr=recipe.learning_rate, fused=True)


def _finite(loss: Tensor, epoch: int) -> float:
    value = float(loss)
    if value != value or value in (float("inf"), float("-inf")):
        raise TrainingError(
            f"the loss became {value} in epoch {epoch + 1}",
            expected="a finite loss",
            next_step="lower learning_rate in the recipe, then ssr-edge train --recipe FILE.toml",
        )
    return value


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
        initialized_from=options.init_from.sha256 if options.init_from else None,
    )
