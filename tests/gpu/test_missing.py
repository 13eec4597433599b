"""A machine without a GPU must not appear to pass the GPU tests. Runs everywhere."""

from __future__ import annotations

import sys

import pytest

from ssr_edge.common.install_hint import install_hint
from ssr_edge.machine.gpu import Gpu
from tests.doubles.install import install
from tests.doubles.machine import Machine
from tests.gpu import missing


def test_without_a_gpu_the_exit_code_is_no_pass(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(missing, "find_gpu", lambda: None)
    with pytest.raises(SystemExit) as end:
        missing.main()
    assert end.value.code == 77
    assert "next: nvidia-smi" in capsys.readouterr().err


def test_everything_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "10.3.0", Machine())
    monkeypatch.setattr(missing, "find_gpu", lambda: Gpu("Double RTX", "8.9", "13.0"))
    assert missing.missing() == []
    missing.main()


def test_each_missing_part_comes_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "10.3.0", Machine())
    for module in ("tensorrt", "pycuda.driver"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(missing, "find_gpu", lambda: Gpu("Double RTX", "8.9", "13.0"))
    found = missing.missing()
    assert [line.split(" can't be imported")[0] for line in found] == ["pycuda", "tensorrt", "tensorrt_rtx"]
    assert [line.partition("; next: ")[2] for line in found] == [
        install_hint(extra) for extra in ("tensorrt", "tensorrt", "tensorrt-rtx")
    ]
