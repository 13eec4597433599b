"""`ssr-edge train`: trains an architecture with a recipe, or fine-tunes a checkpoint with quantization; resumable."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssr_edge.cli.defaults import CHECKPOINT, RUNS, find_checkpoint
from ssr_edge.cli.extras import importing
from ssr_edge.common.errors import UsageError

if TYPE_CHECKING:
    from ssr_train.data.splits import SplitKind
    from ssr_train.models.arch import Arch
    from ssr_train.training.loop import Source, Start, TrainOptions
    from ssr_train.training.recipe import Recipe

_ARCH = "ssresnext50_32x4d"


def train(
    data: Annotated[
        Path | None, typer.Option(help="The BreaKHis folder, or a folder with an index.csv.", show_default=False)
    ] = None,
    arch: Annotated[
        str | None,
        typer.Option(
            help=f"Architecture; append '/shared' to share the weights of the kernels. (default: {_ARCH})",
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="paper, modern, cpu, qat, or a .toml file. (default: paper; qat with --qat)", show_default=False
        ),
    ] = None,
    magnification: Annotated[
        int | None, typer.Option(help="40, 100, 200 or 400. (default: all images)", show_default=False)
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Split by image or patient, or use a file written by `ssr-edge data split`. (default: image)",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed for split, initial weights and training.")] = 0,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Number of epochs, instead of the recipe's.", show_default=False)
    ] = None,
    accumulate: Annotated[
        int | None,
        typer.Option(min=1, help="Number of micro-batches per batch, to save memory.", show_default=False),
    ] = None,
    cache: Annotated[Path, typer.Option(help="Folder for decoded images, shared by runs.")] = RUNS / ".cache",
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write TensorBoard events into the folder of the run.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    run: Annotated[
        Path | None, typer.Option(help="Folder of the run. (default: runs/ARCH-TIME)", show_default=False)
    ] = (None),
    resume: Annotated[bool, typer.Option("--resume", help="Resume --run, or the newest unfinished run.")] = (False),
    init_from: Annotated[
        Path | None,
        typer.Option(
            help="ImageNet weights to start from (.pth or .safetensors): ResNeXt-50 32x4d, ResNet-50 or Swin-T.",
            show_default=False,
        ),
    ] = None,
    qat: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint or run to fine-tune with simulated INT8, with the same split and data.", show_default=False
        ),
    ] = None,
) -> None:
    """Train a network on labeled images and write a checkpoint."""
    with importing("train"):
        from ssr_train.models.arch import arch_by_name
        from ssr_train.training.device import choose_device
        from ssr_train.training.loop import TrainOptions
        from ssr_train.training.loop import train as run_training
        from ssr_train.training.processes import process_rank
        from ssr_train.training.recipe import load_recipe
        from ssr_train.training.run_file import read_options, write_options

    if qat is not None:
        _refuse_with_qat(
            {
                "--resume": resume or None,
                "--init-from": init_from,
                "--arch": arch,
                "--magnification": magnification,
                "--split": split,
            }
        )
    _check_processes(run, qat)
    if tensorboard:
        with importing("tensorboard"):
            import tensorboard as _  # noqa: F401 (fails now, not after decoding all images)
    if resume:
        options = read_options(run or _newest_unfinished(), choose_device(device))
    else:
        chosen = load_recipe(recipe or ("paper" if qat is None else "qat"))
        if epochs is not None:
            chosen = chosen.model_copy(update={"epochs": epochs})
        if accumulate is not None:
            chosen = chosen.model_copy(update={"accumulate": accumulate})
        if qat is not None:
            options = _qat_options(qat, run, data, chosen, seed, choose_device(device))
        elif data is None:
            raise UsageError(
                "--data is missing", expected="--data FOLDER", next_step="ssr-edge train --data BreaKHis_v1"
            )
        else:
            config = arch_by_name(arch or _ARCH)
            folder = run or _new_run(config.name)
            options = TrainOptions(
                folder,
                data,
                config,
                chosen,
                magnification,
                _split(split),
                seed,
                choose_device(device),
                init_from=None if init_from is None else _public_weights(init_from, config),
            )
        if process_rank() == 0:
            write_options(options)
    options = replace(options, cache=cache, tensorboard=tensorboard)
    checkpoint = run_training(options, resume, typer.echo, _start(options))
    if process_rank() == 0:
        typer.echo(f"wrote {checkpoint}\nnext: ssr-edge build-engine")


def _check_processes(run: Path | None, qat: Path | None) -> None:
    from ssr_train.training.processes import process_count

    if process_count() == 1:
        return
    if run is None:
        raise UsageError(
            f"{process_count()} processes without --run",
            expected="--run FOLDER",
            next_step='torchrun --nproc-per-node 2 -- "$(which ssr-edge)" train --data FOLDER --run runs/NAME',
        )
    if qat is not None:
        raise UsageError(
            f"--qat with {process_count()} processes",
            expected="a single process: fine-tuning takes only a few epochs",
            next_step=f"ssr-edge train --qat {qat}",
        )


def _public_weights(path: Path, arch: Arch) -> Source:
    """Loads the file before the run is created, so that a file that does not fit leaves no run behind."""
    from ssr_edge.common.files import sha256_of
    from ssr_train.models.build import build_network
    from ssr_train.models.pretrained import load_pretrained
    from ssr_train.training.loop import Source

    load_pretrained(path, build_network(arch))
    return Source(path, sha256_of(path))


def _refuse_with_qat(given: dict[str, object]) -> None:
    if named := [option for option, value in given.items() if value is not None]:
        raise UsageError(
            f"{named[0]} together with --qat",
            expected="a new run, with the architecture, magnification and split of the checkpoint",
            next_step="ssr-edge train --qat CHECKPOINT  (ssr-edge train --resume resumes an unfinished run)",
        )


def _qat_options(
    asked: Path, run: Path | None, data: Path | None, recipe: Recipe, seed: int, device: str
) -> TrainOptions:
    from ssr_edge.common.files import sha256_of
    from ssr_train.models.arch import ArchConfig, arch_from_dict
    from ssr_train.training.checkpoint import load_checkpoint
    from ssr_train.training.loop import Source, TrainOptions

    path = find_checkpoint(asked)
    card = load_checkpoint(path)[1]
    arch = arch_from_dict(card.arch)
    if not isinstance(arch, ArchConfig):
        raise UsageError(
            f"--qat does not support {arch.name}",
            expected="a checkpoint of SSResNeXt or one of its ablations",
            next_step=f"ssr-edge build-engine {path}",
        )
    images = data or Path(card.data)
    if not images.is_dir():
        raise UsageError(
            f"{images} is not a folder",
            expected=f"the data set that {path} was trained on",
            next_step=f"ssr-edge train --qat {path} --data FOLDER",
        )
    return TrainOptions(
        run=run or _new_run(f"{card.arch['name']}-qat"),
        data=images,
        arch=arch,
        recipe=recipe,
        magnification=card.magnification,
        split=card.to_split().unit,
        seed=seed,
        device=device,
        source=Source(path, sha256_of(path)),
    )


def _split(asked: str | None) -> SplitKind | Path:
    from ssr_train.data.splits import Split

    if asked is None or asked == "image":
        return "image"
    if asked == "patient":
        return "patient"
    if not Path(asked).is_file():
        raise UsageError(
            f"--split {asked} is not a file",
            expected="image, patient, or a split file",
            next_step=f"ssr-edge data split FOLDER --kind patient -o {asked}",
        )
    Split.read(Path(asked))  # reports a damaged file before the images are read
    return Path(asked)


def _start(options: TrainOptions) -> Start | None:
    if options.source is None:
        return None
    with importing("export"):
        from ssr_export.int8.qat import qat_start
    return qat_start(options.source, options.data, typer.echo)


def _new_run(name: str) -> Path:
    return RUNS / f"{name.replace('/', '-')}-{datetime.now():%Y%m%d-%H%M%S}"


def _newest_unfinished() -> Path:
    runs = [path for path in RUNS.glob("*") if (path / "run.json").exists() and not (path / CHECKPOINT).exists()]
    if not runs:
        raise UsageError(
            f"no unfinished run in {RUNS.resolve()}",
            expected="a run without a checkpoint, or --run FOLDER",
            next_step="ssr-edge train --data FOLDER",
        )
    return max(runs, key=lambda path: (path / "run.json").stat().st_mtime)
