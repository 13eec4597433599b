"""The bundle's histograms.json: the distribution of each quantized tensor's magnitudes, for plotting its range."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import BundleError

HISTOGRAMS = "histograms.json"


class Histogram(BaseModel):
    """A histogram of magnitudes. counts: by bin; bins of equal width cover [0, limit], in the tensor's unit."""

    model_config = ConfigDict(extra="forbid")
    limit: float = Field(gt=0, allow_inf_nan=False)
    counts: list[int] = Field(min_length=1)


class Histograms(BaseModel):
    """Histograms by tensor name, with the names of the manifest's `quantization.tensors`."""

    model_config = ConfigDict(extra="forbid")
    tensors: dict[str, Histogram]

    def write(self, folder: Path) -> None:
        """Writes histograms.json to the folder of a bundle that is being built."""
        (folder / HISTOGRAMS).write_text(self.model_dump_json(), encoding="utf-8")


def read_histogram(bundle: Bundle, name: str) -> Histogram:
    """Returns the histogram of the tensor `name`.

    Raises:
        BundleError: the bundle has no histograms, they were changed, or none has this name.
    """
    file = bundle.file(HISTOGRAMS)
    try:
        histograms = Histograms.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise BundleError(
            f"{file}: {error.errors()[0]['msg']}",
            expected="histograms written by ssr-edge build-engine",
            next_step="ssr-edge build-engine",
        ) from error
    if name not in histograms.tensors:
        raise BundleError(
            f"{file} has no tensor {name!r}",
            expected="a histogram of every tensor in the manifest",
            next_step="ssr-edge build-engine",
        )
    return histograms.tensors[name]
