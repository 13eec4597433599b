"""OpenVINO and ONNX Runtime send no telemetry, which both do by default."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.telemetry import silenced_environment
from tests.no_network import NO_NETWORK

_IMPORT = "import openvino, sys; print('openvino_telemetry.main' in sys.modules)"
_SILENCED = "from ssr_edge.common.telemetry import silence; silence(); " + _IMPORT
# Variables with which openvino-telemetry sends nothing, or uses a proxy.
_LEFT_OUT = ("CI", "TF_BUILD", "JENKINS_URL", "HTTPS_PROXY", "ORT_DISABLE_TELEMETRY")


# ONNX Runtime's library does not connect through Python, but it writes a device ID before it sends anything.
_SESSION = """
import sys
from ssr_edge.runners.onnxruntime import import_onnxruntime
onnxruntime = import_onnxruntime()
onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
"""


@pytest.fixture
def without_network(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "sitecustomize.py").write_text(NO_NETWORK)
    (tmp_path / "home").mkdir()
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    kept = {name: value for name, value in os.environ.items() if name.upper() not in _LEFT_OUT}
    return {**kept, "PYTHONPATH": path, "CONNECTIONS": str(tmp_path / "log"), "HOME": str(tmp_path / "home")}


def _run(program: str, env: dict[str, str], *arguments: Path) -> str:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    return done.stdout


def test_openvino_finds_no_telemetry(without_network: dict[str, str], tmp_path: Path) -> None:
    assert _run(_SILENCED, without_network) == "False\n"
    assert not (tmp_path / "log").exists()
    assert not list((tmp_path / "home").iterdir())


def test_onnxruntime_writes_no_device_id(without_network: dict[str, str], tmp_path: Path, tiny_bundle: Bundle) -> None:
    _run(_SESSION, without_network, tiny_bundle.path / "model.fp32.onnx")
    assert not list((tmp_path / "home").rglob("*"))


def test_another_program_finds_that_consent_was_refused(without_network: dict[str, str], tmp_path: Path) -> None:
    with silenced_environment() as silenced:
        env = {**without_network, **{name: silenced[name] for name in ("HOME", "LOCALAPPDATA", "PYTHONUSERBASE")}}
        assert _run(_IMPORT, env) == "True\n"
    assert not (tmp_path / "log").exists()
    assert not Path(silenced["HOME"]).exists()


def test_without_the_switch_openvino_reports(without_network: dict[str, str], tmp_path: Path) -> None:
    _run(_IMPORT, without_network)
    # If this fails, OpenVINO no longer sends telemetry, and ssr_edge.common.telemetry can be removed.
    assert "google-analytics" in (tmp_path / "log").read_text()
