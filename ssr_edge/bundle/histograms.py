"""The bundle's histograms.json: how the magnitudes of each quantized tensor are spread, to plot its range against."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import BundleError

HISTOGRAMS = "histograms.json"


class Histogram(BaseModel):
    """counts: of magnitudes, in equal bins over [0, limit], in the tensor's own unit."""

    model_config = ConfigDict(extra="forbid")
    limit: float = Field(gt=0, allow_inf_nan=False)
    counts: list[int] = Field(min_length=1)


class Histograms(BaseModel):
    """Histogram by tensor, under the names that the manifest's `quantization` gives them."""

    model_config = ConfigDict(extra="forbid")
    tensors: dict[str, Histogram]

    def write(self, folder: Path) -> None:
        """Writes histograms.json into a bundle's folder that is being made."""
        (folder / HISTOGRAMS).write_text(self.model_dump_json(), encoding="utf-8")


def read_histogram(bundle: Bundle, name: str) -> Histogram:
    """The histogram of one tensor.

    Raises:
        BundleError: the bundle has no histograms, or they were changed, or there is none of that name.
    """
    file = bundle.file(HISTOGRAMS)
    try:
        histograms = Histograms.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise BundleError(
            f"{file}: {error.errors()[0]['msg']}",
            expected="histograms as ssr-edge build-engine writes them",
            next_step="ssr-edge build-engine",
        ) from error
    if name not in histograms.tensors:
        raise BundleError(
            f"{file} has no tensor {name!r}",
            expected="a histogram of every tensor in the manifest",
            next_step="ssr-edge build-engine",
        )
    return histograms.tensors[name]
