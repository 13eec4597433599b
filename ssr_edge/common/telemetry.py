"""Disables the telemetry of OpenVINO and ONNX Runtime, which both enable by default.

`import openvino` imports `openvino.tools.ovc`, which sends an event to Google Analytics through openvino-telemetry;
that package treats a missing consent file as consent. The first session of ONNX Runtime 1.32 writes a device ID to the
home folder and sends events to Microsoft.
"""

from __future__ import annotations

import os
import site
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PACKAGE = "openvino_telemetry"
# Folders below the home folder that openvino-telemetry searches (Linux and macOS, Windows), and what its own
# `opt_in_out --opt_out` writes there.
_CONSENT_FOLDERS, _NO = ("intel", "Intel Corporation"), "0"
_ONNXRUNTIME_OFF = {"ORT_DISABLE_TELEMETRY": "1"}


def silence() -> None:
    """Disables telemetry in this process and its children. Call before the first import of openvino or onnxruntime.

    openvino-telemetry then appears not to be installed; ONNX Runtime reads an environment variable.
    """
    os.environ.update(_ONNXRUNTIME_OFF)
    # None in sys.modules makes Python raise ImportError for the module.
    sys.modules.setdefault(_PACKAGE, None)  # type: ignore[arg-type]


@contextmanager
def silenced_environment() -> Iterator[dict[str, str]]:
    """Environment variables for another program that uses either: a temporary home folder with consent refused."""
    with tempfile.TemporaryDirectory(prefix="ssr-edge-") as home:
        for folder in _CONSENT_FOLDERS:
            (Path(home) / folder).mkdir()
            (Path(home) / folder / _PACKAGE).write_text(_NO, encoding="ascii")
        # Packages installed with `pip install --user` are in the real home folder.
        folders = {"HOME": home, "LOCALAPPDATA": home, "PYTHONUSERBASE": site.getuserbase()}
        yield {**os.environ, **_ONNXRUNTIME_OFF, **folders}
