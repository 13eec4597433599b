from __future__ import annotations

import importlib.util
import json
from importlib.metadata import version

import pytest

from ssr_edge import __version__
from ssr_edge.common.install_hint import install_hint
from ssr_edge.machine import doctor
from ssr_edge.machine.doctor import examine, show
from ssr_edge.machine.gpu import Gpu


def test_what_is_installed_has_its_version() -> None:
    report = json.loads(json.dumps(examine()))
    assert report["ssr_edge"] == __version__
    versions = {part["package"]: part["version"] for part in report["parts"]}
    for package in ("openvino", "torch", "onnxruntime"):
        assert versions[package] == version(package)
    assert report["machine"]["cores"] >= 1


def test_what_is_missing_has_the_command_that_adds_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    real = importlib.util.find_spec
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name in ("torch", "pycuda") else real(name))
    monkeypatch.setattr(doctor, "find_gpu", lambda: None)
    show(examine())
    lines = capsys.readouterr().out.splitlines()
    (training,) = [line for line in lines if "torch" in line]
    assert "missing" in training and install_hint("train") in training
    (inference,) = [line for line in lines if " openvino " in line]
    assert "missing" not in inference and "pip install" not in inference
    assert "no NVIDIA GPU: engines run on the CPU with OpenVINO" in lines


def test_a_gpu_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "find_gpu", lambda: Gpu("NVIDIA Orin", "8.7", "12.6"))
    show(examine())
    assert "NVIDIA Orin, sm_87, driver for CUDA 12.6" in capsys.readouterr().out


def test_a_module_without_its_distributions_metadata_is_present(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_PARTS", (("count", "json", ("no-such-distribution",), "pip install x"),))
    (part,) = examine()["parts"]
    assert part["version"] == "present"
