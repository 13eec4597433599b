"""Checks the Dockerfiles without building them, and the wheel built from exactly the files they copy."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from dockerfile_parse import DockerfileParser

from ssr_edge.machine.gpu import find_gpu

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted((ROOT / "containers").glob("*.Dockerfile"))
PACKAGES = {
    "ssr_edge": "ssr_edge",
    "train/ssr_train": "ssr_train",
    "export/ssr_export": "ssr_export",
    "kernels/ssr_kernels": "ssr_kernels",
}
each_image = pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.stem)


def parse(dockerfile: Path) -> DockerfileParser:
    return DockerfileParser(fileobj=io.BytesIO(dockerfile.read_bytes()))


def last_stage(dockerfile: Path) -> dict[str, list[str]]:
    """Values of each instruction in the last stage, which becomes the image."""
    values: dict[str, list[str]] = {}
    for step in parse(dockerfile).structure:
        values = {} if step["instruction"] == "FROM" else values
        values.setdefault(step["instruction"], []).append(step["value"])
    return values


def copied_from_here(dockerfile: Path) -> list[str]:
    """Sources of every COPY from the build context."""
    copies = [shlex.split(step["value"]) for step in parse(dockerfile).structure if step["instruction"] == "COPY"]
    return [source for *sources, _ in copies if not sources[0].startswith("--from=") for source in sources]


def health_check(dockerfile: Path) -> list[str]:
    (value,) = last_stage(dockerfile)["HEALTHCHECK"]
    command: list[str] = json.loads(value.partition("CMD ")[2])
    return command


def test_each_kind_of_device_has_an_image() -> None:
    assert [path.name for path in DOCKERFILES] == ["cpu.Dockerfile", "jetson.Dockerfile", "tensorrt.Dockerfile"]


@each_image
def test_hadolint_finds_nothing(dockerfile: Path) -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, "--no-color", dockerfile], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@each_image
def test_the_base_is_pinned_and_the_same_release_builds_and_runs(dockerfile: Path) -> None:
    tags = [image.rpartition(":")[2] for image in parse(dockerfile).parent_images]
    assert len(tags) == 2
    assert all(re.fullmatch(r"\D*\d+\.\d+.*", tag) for tag in tags), tags
    assert len({tag.removesuffix("-devel").removesuffix("-runtime") for tag in tags}) == 1


@each_image
def test_the_image_runs_unprivileged_with_labels_and_a_health_check(dockerfile: Path) -> None:
    stage = last_stage(dockerfile)
    assert stage["USER"] == ["10001"]
    assert stage["ENTRYPOINT"] == ['["ssr-edge"]']
    assert "not a medical device" in " ".join(stage["LABEL"])
    assert "Apache-2.0" in " ".join(stage["LABEL"])
    runtime = "openvino" if dockerfile.name == "cpu.Dockerfile" else "tensorrt"
    assert health_check(dockerfile) == ["ssr-edge", "doctor", "--runtime", runtime]


@each_image
def test_every_installed_package_is_pinned(dockerfile: Path) -> None:
    for name in [source for source in copied_from_here(dockerfile) if source.endswith(".txt")]:
        lines = [line for line in (ROOT / name).read_text().splitlines() if not line.startswith("#")]
        assert lines
        assert all(re.match(r"[\w.-]+==[\w.]+( ; .*)?$", line) for line in lines), lines


@each_image
def test_copied_files_exist_and_pass_dockerignore(dockerfile: Path) -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for source in copied_from_here(dockerfile):
        assert (ROOT / source).exists(), source
        assert any(Path(source).match(pattern) for pattern in allowed), source


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked wheel, built only from the files that the CPU image's build stage copies."""
    here, made = tmp_path_factory.mktemp("context"), tmp_path_factory.mktemp("image")
    for source in copied_from_here(DOCKERFILES[0]):
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, here / source, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (here / source).parent.mkdir(exist_ok=True)
            shutil.copyfile(ROOT / source, here / source)
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(made)]
    subprocess.run(build, cwd=here, check=True, capture_output=True)
    (wheel,) = made.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(made / "site")
    return made / "site"


def test_the_wheel_holds_every_file_of_the_four_packages(installed: Path) -> None:
    for folder, package in PACKAGES.items():
        assert files_below(installed / package) == files_below(ROOT / folder)


@each_image
def test_the_health_check_succeeds_if_the_image_can_run(dockerfile: Path, installed: Path, tmp_path: Path) -> None:
    program, *arguments = health_check(dockerfile)
    assert f"{program} = ssr_edge.cli.main:run" in next(installed.glob("*.dist-info/entry_points.txt")).read_text()
    done = run(installed, tmp_path, *arguments)
    if arguments[-1] == "openvino":
        assert (done.returncode, done.stderr) == (0, "")
    elif find_gpu() is None:
        # The same as a container started without a GPU.
        assert done.returncode == 1
        assert "next: " in done.stderr


def test_the_image_classifies(installed: Path, tmp_path: Path, tiny_bundle: Any, demo_images: list[Path]) -> None:
    done = run(installed, tmp_path, "infer", str(demo_images[0]), "--bundle", str(tiny_bundle.path))
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 2


def run(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from ssr_edge.cli.main import run; run()", *arguments]
    env = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def files_below(folder: Path) -> set[str]:
    every = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix() for path in every}


def test_images_have_the_opencv_that_needs_no_system_libraries() -> None:
    packages = (ROOT / "containers/requirements.txt").read_text().splitlines()
    assert [line.partition("==")[0] for line in packages if line.startswith("opencv")] == ["opencv-python-headless"]
