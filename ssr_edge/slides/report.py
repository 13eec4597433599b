"""Collects the results of each slide of a run into a heat map and a line of summary."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

from ssr_edge.common.errors import InputError
from ssr_edge.common.files import cannot_write, replacing
from ssr_edge.images.opencv import cv2
from ssr_edge.inference.pipeline import Failure
from ssr_edge.inference.prediction import Prediction
from ssr_edge.slides.heat_map import HeatMap
from ssr_edge.slides.tiles import SlideTiles, open_tiles
from ssr_edge.sources.inputs import Input, unreadable

_MALIGNANT = 0.5


class SlideReports:
    """Splits a run's slides into tiles, and receives every result of the run in the order of its inputs.

    A finished slide adds a line to `summaries` and writes `<output's stem>.<slide's stem>.heatmap.png` to the folder of
    the output. Memory: one thumbnail for each slide in progress, rarely more than two.

    magnification: the bundle's. mpp: micrometers per level-0 pixel; overrides the slides' own. output: the run's first
    output file.
    """

    def __init__(self, magnification: int | None, mpp: float | None, output: Path) -> None:
        self._magnification = magnification
        self._mpp = mpp
        self._output = output
        self._under_way: deque[_Report] = deque()
        self._heat_maps: set[Path] = set()
        self.summaries: list[str] = []

    def tiles_of(self, path: Path) -> Iterator[Input]:
        """Yields a slide's tiles; a slide that can't be opened yields one input that fails."""
        try:
            tiles = open_tiles(path, self._magnification, self._mpp)
        except InputError as error:
            yield unreadable(str(path), error.found)
            return
        self._under_way.append(_Report(tiles))
        self._close_done()
        yield from tiles

    def add(self, result: Prediction | Failure) -> None:
        """Adds one result of the run; results that belong to no slide are ignored."""
        if self._under_way and self._under_way[0].source == result.source:
            self._under_way[0].add(result)
            self._close_done()

    def _close_done(self) -> None:
        # In order: a slide without tissue waits for the slide before it.
        while self._under_way and self._under_way[0].done():
            report = self._under_way.popleft()
            self.summaries.append(report.finish(self._heat_map_of(report.source)))

    def _heat_map_of(self, source: str) -> Path:
        stem = f"{self._output.stem}.{Path(source).stem}"
        path, number = self._output.with_name(f"{stem}.heatmap.png"), 2
        while path in self._heat_maps:
            path, number = self._output.with_name(f"{stem}-{number}.heatmap.png"), number + 1
        self._heat_maps.add(path)
        return path


class _Report:
    """Counts and heat map of one slide."""

    def __init__(self, tiles: SlideTiles) -> None:
        self.source = str(tiles.path)
        self._tiles = tiles
        self._map = HeatMap(tiles)
        self._left = len(tiles)
        self._classified = 0
        self._malignant = 0

    def done(self) -> bool:
        return self._left == 0

    def add(self, result: Prediction | Failure) -> None:
        self._left -= 1
        if isinstance(result, Prediction) and result.region is not None:
            self._classified += 1
            self._malignant += result.malignant_probability >= _MALIGNANT
            self._map.add(result.region, result.malignant_probability)

    def finish(self, heat_map: Path) -> str:
        """Closes the slide, writes the heat map and returns the summary."""
        self._tiles.slide.close()
        _save(self._map, heat_map)
        tiles, tissue = len(self._tiles.tissue), len(self._tiles)
        share = f", {self._malignant} malignant ({self._malignant / self._classified:.0%})" if self._classified else ""
        return (
            f"{self.source}: {tissue} of {tiles} tiles show tissue ({tissue / tiles:.0%}), "
            f"{self._classified} classified{share} -> {heat_map}"
        )


def _save(heat_map: HeatMap, path: Path) -> None:
    _, png = cv2.imencode(".png", heat_map.drawn())
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(png.tobytes())
    except OSError as error:
        raise cannot_write(path, error, "ssr-edge infer FOLDER -o OTHER/predictions.csv") from error
