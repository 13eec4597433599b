"""Exports INT8 ranges as a TensorRT calibration cache, for implicit quantization without Q/DQ (TensorRT <= 10).

The format is the one TensorRT's entropy calibrator writes: a header with TensorRT's version, then each tensor's scale
(range / 127) as the hexadecimal digits of a big-endian float32. `trtexec --int8 --calib=FILE` and
`IInt8Calibrator.read_calibration_cache` read it; TensorRT rejects a header of another version.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping

from ssr_edge.bundle.manifest import QMAX
from ssr_edge.common.errors import UsageError

_FIRST_WITHOUT_CALIBRATORS = 11


def tensorrt_cache(ranges: Mapping[str, float], version: str) -> str:
    """Returns the text of the cache. ranges: tensor -> magnitude that maps to 127. version: TensorRT's, e.g. `10.3.0`.

    Raises:
        UsageError: not a version of TensorRT, or one without calibrators (11 and later).
    """
    lines = [f"TRT-{_version_number(version)}-EntropyCalibration2"]
    lines += [f"{tensor}: {struct.pack('>f', magnitude / QMAX).hex()}" for tensor, magnitude in ranges.items()]
    return "\n".join(lines) + "\n"


def _version_number(version: str) -> int:
    """NV_TENSORRT_VERSION of a version: 8503 for 8.5.3, 100300 for 10.3.0."""
    found = re.fullmatch(r"(\d{1,2})\.(\d{1,2})\.(\d{1,2})(\.\d+)*", version)
    if found is None:
        raise _unusable(f"{version!r} is not a version of TensorRT")
    major, minor, patch = (int(part) for part in found.groups()[:3])
    if major >= _FIRST_WITHOUT_CALIBRATORS:
        raise _unusable(f"TensorRT {version} has no calibrators: it reads the Q/DQ nodes of model.int8.onnx")
    return major * (1000 if major < 10 else 10_000) + minor * 100 + patch


def _unusable(found: str) -> UsageError:
    return UsageError(
        found,
        expected="the TensorRT version that will read the cache, up to 10.x; pip show tensorrt or dpkg -l prints it",
        next_step="ssr-edge inspect --tensorrt-cache 10.3.0 > calibration.cache",
    )
