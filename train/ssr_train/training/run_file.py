"""run.json: the options of a run, so that it can be resumed and repeated."""

from __future__ import annotations

import json
from pathlib import Path

from ssr_edge.common.errors import UsageError
from ssr_edge.common.files import replacing
from ssr_train.models.arch import arch_from_dict
from ssr_train.training.loop import Source, TrainOptions
from ssr_train.training.recipe import Recipe

RUN = "run.json"


def write_options(options: TrainOptions) -> None:
    """Writes run.json into the folder of a new run.

    Raises:
        UsageError: the folder already contains a run.
    """
    path = options.run / RUN
    if path.exists():
        raise UsageError(
            f"{options.run} already contains a run",
            expected="a new folder, or --resume",
            next_step=f"ssr-edge train --run {options.run} --resume",
        )
    fields = {
        "data": str(options.data.resolve()),
        "arch": options.arch.to_dict(),
        "recipe": options.recipe.model_dump(),
        "magnification": options.magnification,
        "split": {"file": str(options.split.resolve())} if isinstance(options.split, Path) else options.split,
        "seed": options.seed,
    }
    for name, source in (("source", options.source), ("init_from", options.init_from)):
        if source is not None:
            fields[name] = {"checkpoint": str(source.checkpoint.resolve()), "sha256": source.sha256}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(fields, indent=2))


def read_options(run: Path, device: str) -> TrainOptions:
    """Reads what `write_options` wrote. device: may differ from the device of the original run.

    Raises:
        UsageError: the folder contains no run.
    """
    try:
        fields = json.loads((run / RUN).read_text())
        source, init_from = (_source(fields.get(name)) for name in ("source", "init_from"))
        return TrainOptions(
            run=run,
            data=Path(fields["data"]),
            arch=arch_from_dict(fields["arch"]),
            recipe=Recipe(**fields["recipe"]),
            magnification=fields["magnification"],
            split=Path(split["file"]) if isinstance(split := fields["split"], dict) else split,
            seed=fields["seed"],
            device=device,
            source=source,
            init_from=init_from,
        )
    except (AttributeError, OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{run} contains no run that can be resumed: {error}",
            expected=f"a folder with the {RUN} that ssr-edge train wrote",
            next_step="ssr-edge train --data FOLDER",
        ) from error


def _source(fields: dict[str, str] | None) -> Source | None:
    return None if fields is None else Source(Path(fields["checkpoint"]), fields["sha256"])
