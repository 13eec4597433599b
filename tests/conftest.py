"""Shared fixtures: real images, BreaKHis in its official layout, tiny networks, a checkpoint, a bundle."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from ssr_edge.breakhis.names import CLASSES, MALIGNANT, parse_name
from ssr_edge.common.telemetry import silence

if TYPE_CHECKING:
    from ssr_edge.bundle.bundle import Bundle
    from ssr_train.models.network import SSResNeXt
    from tests.doubles.host_kernels import HostKernels

# Read by PyTorch on import. On a busy machine its threads would mostly wait for one another, and with one thread the
# order of summation is fixed, so that runs can be compared bit by bit.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Also disables telemetry for tests that import OpenVINO directly.
silence()

# No deadline, because tests never assert speed. The examples of a property may share a folder.
# CI uses the same examples every time, so that a failure is caused by the change; local runs draw new ones.
settings.register_profile(
    "ssr-edge",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("ssr-edge")

BuildOnce = Callable[[str, Callable[[Path], object]], Path]

DEMO = Path(__file__).parents[1] / "ssr_edge" / "demo"
TINY = "ssresnext14_8x4d"
MAGNIFICATION = 100
IMAGES_PER_PATIENT = 5
# Two real patients of each class.
PATIENTS = {
    "A": ("14-22549AB", "14-22549CD"),
    "F": ("14-14134E", "14-21998CD"),
    "PT": ("14-21998AB", "14-29315EF"),
    "TA": ("14-3411F", "14-16184"),
    "DC": ("14-12312", "14-14926"),
    "LC": ("14-16196", "14-12204"),
    "MC": ("14-12773", "14-16456"),
    "PC": ("14-12465", "14-15704"),
}
# In the official data set, too, this patient's images appear under both classes.
TWINS_PATIENT, TWINS_CLASSES = "14-13412", ("DC", "LC")
_TYPES = {
    "A": "adenosis",
    "F": "fibroadenoma",
    "PT": "phyllodes_tumor",
    "TA": "tubular_adenoma",
    "DC": "ductal_carcinoma",
    "LC": "lobular_carcinoma",
    "MC": "mucinous_carcinoma",
    "PC": "papillary_carcinoma",
}


@dataclass(frozen=True)
class Answer:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist, -n 0
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Gives each file to one worker, because its tests share fixtures, and all `heavy` files to the same one.

    These start processes, servers or a browser, and two at once would compete for the cores. pytest-xdist's own groups
    do not work with pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist is untyped
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "heavy" if _is_heavy(config.rootpath / file) else file

    return ByFile(config, log)


@cache
def _is_heavy(file: Path) -> bool:
    return "pytest.mark.heavy" in file.read_text(encoding="utf-8")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs heavy files and files with slow tests first, so that no worker has a long one left at the end."""
    seconds: dict[Path, int] = defaultdict(int)
    for item in items:
        for marker, weight in (("heavy", 100), ("slow", 10)):
            seconds[item.path] += weight if item.get_closest_marker(marker) else 0
    items.sort(key=lambda item: -seconds[item.path])


@pytest.fixture(scope="session", autouse=True)
def brief_choice_of_engines() -> Iterator[None]:
    """Shortens the timing that chooses between the engines of a bundle."""
    from dataclasses import replace

    from ssr_export.engines import choose

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choose, "TIMING_BUDGET", replace(choose.TIMING_BUDGET, warm_s=0.1, rounds_s=0.2, turn_s=0.02))
        yield


@pytest.fixture(scope="session")
def build_once(tmp_path_factory: pytest.TempPathFactory) -> BuildOnce:
    """`build_once(name, build)`: the path that `build` wrote, once for all workers; treat it as read-only."""
    base = tmp_path_factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def once(name: str, build: Callable[[Path], object]) -> Path:
        path, done = root / "shared" / name, root / "shared" / f"{name.replace('/', '-')}.done"
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(done.with_suffix(".lock")):
            if not done.exists():
                build(path)
                done.touch()
        return path

    return once


@pytest.fixture(scope="session")
def demo_images() -> list[Path]:
    """22 microscope images, 700x460 JPEG at 100X, all eight classes, BreaKHis names."""
    return _jpegs(DEMO / "images")


@pytest.fixture(scope="session")
def calibration_images() -> list[Path]:
    """21 more images, of other fields of view."""
    return _jpegs(DEMO / "calibration")


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> HostKernels:
    """The CUDA kernels built by g++, so that parity with OpenCV is tested without a GPU."""
    from tests.doubles.host_kernels import build

    return build(tmp_path_factory.mktemp("kernels"))


@pytest.fixture(scope="session")
def make_network() -> Callable[..., SSResNeXt]:
    """`make_network(arch_name, seed=0)`: an untrained network in evaluation mode whose BatchNorms look trained."""

    def make(arch_name: str, seed: int = 0) -> SSResNeXt:
        import torch

        from ssr_train.models.arch import ArchConfig, arch_by_name
        from ssr_train.models.network import SSResNeXt

        arch = arch_by_name(arch_name)
        assert isinstance(arch, ArchConfig)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = SSResNeXt(arch).eval()
            for module in network.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    assert module.running_mean is not None and module.running_var is not None
                    torch.nn.init.uniform_(module.weight, 0.5, 1.5)
                    torch.nn.init.normal_(module.bias, 0, 0.2)
                    torch.nn.init.normal_(module.running_mean, 0, 0.2)
                    torch.nn.init.uniform_(module.running_var, 0.5, 2)
        return network

    return make


@pytest.fixture(scope="session")
def breakhis_tree(build_once: BuildOnce, demo_images: list[Path], calibration_images: list[Path]) -> Path:
    """BreaKHis's official tree with 82 images of 70x46, cut from the demo's; treat it as read-only.

    Eight classes of two patients of five images each, and one image that appears under two classes (TWINS_CLASSES).
    """

    def write(root: Path) -> None:
        by_class: dict[str, list[np.ndarray]] = defaultdict(list)
        for path in (*demo_images, *calibration_images):
            name = parse_name(path)
            assert name is not None
            by_class[name.label] += _quarters(path)
        for label, patients in PATIENTS.items():
            tiles = iter(by_class[label])
            for patient in patients:
                for number in range(1, IMAGES_PER_PATIENT + 1):
                    _write(root, label, patient, number, next(tiles))
        for label in TWINS_CLASSES:
            _write(root, label, TWINS_PATIENT, 1, by_class["DC"][-1])

    return build_once("data/BreaKHis_v1", write)


@pytest.fixture(scope="session")
def tiny_checkpoint(
    build_once: BuildOnce,
    breakhis_tree: Path,
    make_network: Callable[..., SSResNeXt],
) -> Path:
    """A checkpoint of the smallest network; its card names `breakhis_tree` and a split of it by image."""
    from ssr_edge.evaluation.metrics import measure
    from ssr_train.data.breakhis import contradictory_twins, read
    from ssr_train.data.splits import make_split
    from ssr_train.models.arch import arch_by_name
    from ssr_train.training.checkpoint import CheckpointCard, save_checkpoint
    from ssr_train.training.device import tool_versions
    from ssr_train.training.recipe import load_recipe

    records, _ = contradictory_twins(read(breakhis_tree, MAGNIFICATION))
    split = make_split(records, "image", 0)
    card = CheckpointCard(
        arch=arch_by_name(TINY).to_dict(),
        magnification=MAGNIFICATION,
        recipe=load_recipe("paper").model_dump(),
        seed=0,
        epochs=1,
        data=str(breakhis_tree),
        split_kind=split.kind,
        split_seed=split.seed,
        split=dict(split.parts),
        metrics={"test": asdict(measure(range(8), [0, 1, 2, 3, 4, 5, 6, 6]))},
        tools=tool_versions(),
    )
    return build_once("tiny_run/checkpoint.safetensors", lambda path: save_checkpoint(path, make_network(TINY), card))


@pytest.fixture(scope="session")
def tiny_bundle(build_once: BuildOnce, tiny_checkpoint: Path) -> Bundle:
    """`tiny_checkpoint` as a bundle with OpenVINO's int8 and fp32 engines; treat it as read-only."""
    from ssr_edge.bundle.bundle import Bundle, write_manifest
    from ssr_export.build_bundle import build_bundle
    from ssr_export.engines.build import EngineRequest
    from ssr_export.plan import BundlePlan

    def build(path: Path) -> None:
        plan = BundlePlan(
            source=tiny_checkpoint,
            bundle=path,
            engines=(EngineRequest("openvino", "int8"), EngineRequest("openvino", "fp32")),
            method="percentile",
            images=DEMO / "calibration",
            allow_drop=True,
            float_blocks="none",
        )
        manifest = build_bundle(plan, lambda line: None).manifest
        # The brief timing would choose by chance.
        manifest.chosen["openvino"].precision = "int8"
        write_manifest(path, manifest)

    return Bundle.open(build_once("bundles/tiny", build))


@pytest.fixture
def ssr_edge(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """`ssr_edge("inspect", folder)`: the command in this process, through its real entry point."""
    from ssr_edge.cli.main import run

    def call(*arguments: str | Path) -> Answer:
        monkeypatch.setattr(sys, "argv", ["ssr-edge", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            run()
        return Answer(int(end.value.code or 0), *capfd.readouterr())

    return call


@pytest.fixture(scope="session")
def ssr_edge_process() -> Callable[..., Answer]:
    """`ssr_edge_process("infer", folder, cwd=..., env=..., stdin=...)`: the command in a separate process."""

    def call(*arguments: str | Path, cwd: Path, env: dict[str, str] | None = None, stdin: str = "") -> Answer:
        done = subprocess.run(
            [sys.executable, "-c", "from ssr_edge.cli.main import run; run()", *map(str, arguments)],
            cwd=cwd,
            env=os.environ | (env or {}),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return call


def _jpegs(folder: Path) -> list[Path]:
    paths = sorted(folder.glob("*.jpg"))
    assert paths, f"{folder} holds no JPEG"
    return paths


def _quarters(path: Path) -> list[np.ndarray]:
    """The four quarters of an image as uint8 [46, 70, 3], BGR."""
    image = cv2.imread(str(path))
    assert image is not None
    height, width = image.shape[0] // 2, image.shape[1] // 2
    corners = [(y, x) for y in (0, height) for x in (0, width)]
    return [
        cv2.resize(image[y : y + height, x : x + width], (70, 46), interpolation=cv2.INTER_AREA) for y, x in corners
    ]


def _write(root: Path, label: str, patient: str, number: int, image: np.ndarray) -> None:
    kind, letter = ("malignant", "M") if label in MALIGNANT else ("benign", "B")
    slide = f"SOB_{letter}_{label}_{patient}"
    folder = root / "histology_slides" / "breast" / kind / "SOB" / _TYPES[label] / slide / f"{MAGNIFICATION}X"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"SOB_{letter}_{label}-{patient}-{MAGNIFICATION}-{number:03d}.png"
    assert label in CLASSES
    assert cv2.imwrite(str(file), image)
