"""Keeps OpenVINO and ONNX Runtime from reporting their use, which both do unless told not to.

`import openvino` sends an event to Google Analytics: `openvino.tools.ovc`, which it pulls in, does so through
openvino-telemetry, and takes a missing consent file for consent. ONNX Runtime 1.32's first session writes a device's
number into the home folder and sends events to Microsoft.
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
# Where openvino-telemetry looks below the home folder, on Linux and macOS and on Windows; "0" is what its own
# `opt_in_out --opt_out` writes.
_CONSENT_FOLDERS, _NO = ("intel", "Intel Corporation"), "0"
_ONNXRUNTIME_OFF = {"ORT_DISABLE_TELEMETRY": "1"}


def silence() -> None:
    """Before the first `import openvino` and the first `import onnxruntime`, in this process and those that it starts.

    openvino-telemetry then looks as if it were not installed; ONNX Runtime reads a variable.
    """
    os.environ.update(_ONNXRUNTIME_OFF)
    # None is how Python marks a module that must not be imported.
    sys.modules.setdefault(_PACKAGE, None)  # type: ignore[arg-type]


@contextmanager
def silenced_environment() -> Iterator[dict[str, str]]:
    """The environment for another program that uses either: a home folder in which consent was refused."""
    with tempfile.TemporaryDirectory(prefix="ssr-edge-") as home:
        for folder in _CONSENT_FOLDERS:
            (Path(home) / folder).mkdir()
            (Path(home) / folder / _PACKAGE).write_text(_NO, encoding="ascii")
        # Packages installed with `pip install --user` lie in the real home folder.
        folders = {"HOME": home, "LOCALAPPDATA": home, "PYTHONUSERBASE": site.getuserbase()}
        yield {**os.environ, **_ONNXRUNTIME_OFF, **folders}
