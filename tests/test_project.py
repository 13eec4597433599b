"""Checks the project files around the code: package metadata, wheel, citation, CI, hooks and documentation site."""

from __future__ import annotations

import sys
import zipfile
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from hatchling.builders.wheel import WheelBuilder

from ssr_edge import __version__

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://github.com/ssr-edge/ssr-edge"
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, as `pip wheel --no-deps .` builds it."""
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"])
    return zipfile.ZipFile(built)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return HeaderParser().parsestr(wheel.read(name).decode())


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def test_the_metadata_names_the_authors_the_license_and_every_url(metadata: Message) -> None:
    assert metadata["Author"] == "ssr-edge contributors"
    assert metadata["License-Expression"] == "Apache-2.0"
    urls = dict(value.split(", ") for value in metadata.get_all("Project-URL", []))
    assert set(urls) == {"Homepage", "Repository", "Documentation", "Issues", "Changelog"}
    assert all(url.startswith(REPOSITORY) for url in urls.values())


def test_urls_of_files_in_the_repository_name_existing_files() -> None:
    files = [url.partition("/blob/main/")[2] for url in project()["urls"].values() if "/blob/main/" in url]
    assert len(files) == 2
    assert all((ROOT / file).is_file() for file in files)


def test_the_classifiers_list_every_supported_python_and_typing(metadata: Message) -> None:
    classifiers = metadata.get_all("Classifier", [])
    versions = [name.rpartition(" :: ")[2] for name in classifiers if name.startswith("Programming Language")]
    assert versions == ["Only", *PYTHONS]
    assert metadata["Requires-Python"] == f">={PYTHONS[0]}"
    assert "Typing :: Typed" in classifiers


@pytest.mark.parametrize(
    "name",
    [
        "ssr_edge/py.typed",
        "ssr_train/py.typed",
        "ssr_export/py.typed",
        "ssr_kernels/py.typed",
        "ssr_edge/demo/weights.safetensors",
        "ssr_edge/demo/CARD.md",
        "ssr_edge/bench/report/templates/*.html*",
        "ssr_edge/breakhis/verify/originals.npz",
        "ssr_train/training/recipes/*.toml",
        "ssr_kernels/*.cu",
        "ssr_kernels/*.cuh",
    ],
)
def test_the_wheel_holds(name: str, wheel: zipfile.ZipFile) -> None:
    folder, _, pattern = name.rpartition("/")
    assert [file for file in wheel.namelist() if Path(file).parent == Path(folder) and Path(file).match(pattern)]


def test_the_wheel_holds_the_sample_images_of_every_class(wheel: zipfile.ZipFile) -> None:
    for folder in ("images", "calibration"):
        names = [name for name in wheel.namelist() if name.startswith(f"ssr_edge/demo/{folder}/")]
        classes = {Path(name).name.split("_")[2].partition("-")[0] for name in names}
        assert len(classes) == 8, names


def test_the_citation_names_this_version_the_paper_and_the_data_set() -> None:
    """The keys are those that the Citation File Format 1.2.0 requires."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert (citation["title"], citation["version"]) == (project()["name"], __version__)
    assert citation["license"] == project()["license"]
    assert citation["repository-code"] == project()["urls"]["Repository"]
    paper, data_set = citation["references"]
    for reference in (paper, data_set):
        assert {"type", "title", "authors", "year"} <= set(reference)
    assert [author["family-names"] for author in paper["authors"]] == ["Xu", "Li", "Wu"]
    assert (paper["year"], data_set["year"]) == (2024, 2016)
    assert data_set["doi"] == "10.1109/TBME.2015.2496264"
