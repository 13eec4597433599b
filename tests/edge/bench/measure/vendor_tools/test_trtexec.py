"""trtexec, replaced by a script that prints the banners, help and summary of 10.3 and 11.1."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ssr_edge.bench.measure.vendor_tools import trtexec
from ssr_edge.bench.measure.vendor_tools.choose import open_vendor_tool
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.manifest import EngineEntry
from ssr_edge.common.errors import BundleError, RuntimeUnavailable
from ssr_edge.machine.gpu import Gpu
from tests.doubles.install import tiny_network, write_bundle

_HELP = {
    "100300": """&&&& RUNNING TensorRT.trtexec [TensorRT v100300] # trtexec --help
  --exposeDMA                 Serialize DMA transfers to and from device (default = disabled).
  --noDataTransfers           Disable DMA transfers to and from device (default = enabled).
  --useSpinWait               Actively synchronize on GPU events. This option may decrease synchronization time but \
increase CPU usage and power (default = disabled)
  --useCudaGraph              Use CUDA graph to capture engine execution and then launch inference (default = disabled).
""",
    "110100": """&&&& RUNNING TensorRT.trtexec [TensorRT v110100] [b106] # trtexec --help
  --exposeDMA                 Serialize DMA transfers to and from device (default = disabled).
  --includeDataTransfers      Include DMA transfers to and from device (default = disabled).
  --noCudaGraph               Do not capture engine execution in a CUDA graph (default = disabled).
  --noSpinWait                Do not actively synchronize on GPU events (default = disabled).
""",
}
# As posted in NVIDIA/TensorRT #4177, with the lines about the options that 10.x prints before.
_RUN = """&&&& RUNNING TensorRT.trtexec [TensorRT v{version}] # trtexec
[10/03/2024-10:47:55] [I] ExposeDMA: Enabled
[10/03/2024-10:47:55] [I] Data transfers: {transfers}
[10/03/2024-10:47:55] [I] Spin-wait: Enabled
[10/03/2024-10:47:59] [I] Warmup completed 27 queries over 200 ms
[10/03/2024-10:47:59] [I] Timing trace has 391 queries over 3.00082 s
[10/03/2024-10:47:59] [I]
[10/03/2024-10:47:59] [I] === Trace details ===
[10/03/2024-10:47:59] [I] Average on 10 runs - GPU latency: 7.58404 ms - Host latency: 7.60628 ms (enqueue 7.63062 ms)
[10/03/2024-10:47:59] [I] === Performance summary ===
[10/03/2024-10:47:59] [I] Throughput: 130.298 qps
[10/03/2024-10:47:59] [I] Latency: min = 5.38672 ms, max = 13.3664 ms, mean = 7.60628 ms, median = 7.16092 ms, \
percentile(90%) = 10.2996 ms
[10/03/2024-10:47:59] [I] Enqueue Time: min = 2.72876 ms, max = 15.0201 ms, mean = 7.63062 ms, median = 7.86694 ms, \
percentile(90%) = 10.1792 ms
[10/03/2024-10:47:59] [I] H2D Latency: min = 0.0065918 ms, max = 0.0698242 ms, mean = 0.0122212 ms, \
median = 0.00814819 ms, percentile(90%) = 0.0253906 ms
[10/03/2024-10:47:59] [I] GPU Compute Time: min = 5.34595 ms, max = 13.3388 ms, mean = 7.58404 ms, \
median = 7.14139 ms, percentile(90%) = 10.2881 ms
[10/03/2024-10:47:59] [I] D2H Latency: min = 0.00390625 ms, max = 0.110596 ms, mean = 0.0100141 ms, \
median = 0.00439453 ms, percentile(90%) = 0.0254517 ms
[10/03/2024-10:47:59] [I] Total Host Walltime: 3.00082 s
[10/03/2024-10:47:59] [W] * Throughput may be bound by Enqueue Time rather than GPU Compute and the GPU may be \
under-utilized.
&&&& PASSED TensorRT.trtexec [TensorRT v{version}] # trtexec
"""
_PLAN = b"an engine"


def install(folder: Path, version: str, transfers: str = "Enabled", code: int = 0, run: str = _RUN) -> Path:
    """Writes trtexec, as a script that answers --help, refuses flags that its help does not know, and prints `run`."""
    help_text = _HELP.get(version, f"&&&& RUNNING TensorRT.trtexec [TensorRT v{version}] # trtexec --help\n")
    tool = folder / "trtexec"
    tool.write_text(f"""#!{sys.executable}
import sys
HELP = {help_text!r}
ALWAYS = ("--loadEngine=", "--shapes=", "--percentile=", "--duration=", "--device=", "--versionCompatible")
if sys.argv[1:] == ["--help"]:
    print(HELP, end="")
    sys.exit()
for flag in sys.argv[1:]:
    if flag not in HELP and not flag.startswith(ALWAYS):
        print("[10/03/2024-10:47:55] [E] Unknown option: " + flag)
        sys.exit(1)
print({run.format(version=version, transfers=transfers)!r}, end="")
sys.exit({code})
""")
    tool.chmod(0o755)
    return tool


def make_bundle(path: Path, version: str, **options: str) -> Bundle:
    entry = EngineEntry(
        file="engines/tiny.plan",
        runtime="tensorrt",
        version=version,
        device="sm_87",
        precision="int8",
        model="model.int8.onnx",
        batch=(1, 1, 8),
        build_seconds=0,
        options=options,
    )
    return write_bundle(path / "bundle", tiny_network(), [(entry, _PLAN)])


@pytest.fixture(autouse=True)
def jetson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trtexec, "find_gpu", lambda: Gpu("Orin", "8.7", "12.6"))
    monkeypatch.setattr(trtexec, "_PLACES", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("TENSORRT_HOME", raising=False)
    monkeypatch.delenv("CUDA_DEVICE", raising=False)


@pytest.mark.parametrize(
    ("banner", "version", "flags"),
    [
        ("100300", "10.3.0", "--useSpinWait --exposeDMA"),
        ("110100", "11.1.0", "--includeDataTransfers --noCudaGraph --exposeDMA"),
    ],
)
def test_every_version_gets_the_flags_of_our_runner(tmp_path: Path, banner: str, version: str, flags: str) -> None:
    tool, bundle = install(tmp_path, banner), make_bundle(tmp_path, version)
    times = open_vendor_tool("trtexec", bundle, "int8").turn(2.4)
    assert (times.tool, times.version) == ("trtexec", version)
    assert (times.median_ms, times.p90_ms, times.calls) == (7.16092, 10.2996, 391)
    assert times.mean_call_ms == pytest.approx(1000 / 130.298)
    assert times.command == (
        f"{tool} --loadEngine={bundle.path}/engines/tiny.plan --shapes=images:1x224x224x3 --percentile=90 {flags} "
        "--duration=3"
    )


def test_environment_variables_select_gpu_and_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "TensorRT-10.3.0"
    (home / "bin").mkdir(parents=True)
    tool = install(home / "bin", "100300")
    install(tmp_path, "110100")
    monkeypatch.setenv("TENSORRT_HOME", str(home))
    monkeypatch.setenv("CUDA_DEVICE", "1")
    bundle = make_bundle(tmp_path, "10.3.0", version_compatible="true")
    words = open_vendor_tool("trtexec", bundle, "int8").turn(1).command.split()
    assert words[0] == str(tool)
    assert {"--device=1", "--versionCompatible"} <= set(words)


def test_an_engine_of_another_version_is_refused(tmp_path: Path) -> None:
    install(tmp_path, "110100")
    with pytest.raises(BundleError) as caught:
        open_vendor_tool("trtexec", make_bundle(tmp_path, "10.3.0"), "int8")
    assert "engines/tiny.plan" in caught.value.found and "10.3.0" in caught.value.found
    assert "11.1.0" in caught.value.expected and "sm_87" in caught.value.expected


def test_a_changed_engine_is_not_handed_to_the_tool(tmp_path: Path) -> None:
    install(tmp_path, "100300")
    bundle = make_bundle(tmp_path, "10.3.0")
    (bundle.path / "engines" / "tiny.plan").write_bytes(b"other code")
    with pytest.raises(BundleError) as caught:
        open_vendor_tool("trtexec", bundle, "int8")
    assert "engines/tiny.plan" in caught.value.found


def test_without_the_tool_its_places_are_named(tmp_path: Path) -> None:
    with pytest.raises(RuntimeUnavailable) as caught:
        open_vendor_tool("trtexec", make_bundle(tmp_path, "10.3.0"), "int8")
    assert "trtexec" in caught.value.found
    assert "TENSORRT_HOME/bin" in caught.value.expected
    assert "TENSORRT_HOME" in caught.value.next_step


def test_without_a_gpu_it_is_not_even_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trtexec, "find_gpu", lambda: None)
    with pytest.raises(RuntimeUnavailable) as caught:
        open_vendor_tool("trtexec", make_bundle(tmp_path, "10.3.0"), "int8")
    assert "NVIDIA GPU" in caught.value.expected


@pytest.mark.parametrize("banner", ["8502", "x"])
def test_a_version_before_10_is_refused(tmp_path: Path, banner: str) -> None:
    install(tmp_path, banner)
    with pytest.raises(RuntimeUnavailable) as caught:
        open_vendor_tool("trtexec", make_bundle(tmp_path, "10.3.0"), "int8")
    assert "TensorRT" in caught.value.found and "10" in caught.value.found
    assert "trtexec --help" in caught.value.next_step


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"code": 1, "run": "[10/03/2024-10:47:55] [E] Engine set up failed\n&&&& FAILED\n"}, "Engine set up failed"),
        ({"code": 1, "run": ""}, "exit code 1; no output"),
        ({"run": "&&&& PASSED\n"}, "&&&& PASSED"),
        ({"transfers": "Disabled"}, "copies to and from the GPU"),
    ],
)
def test_a_run_without_a_latency_has_its_reason(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    install(tmp_path, "100300", **changes)  # type: ignore[arg-type]
    with pytest.raises(RuntimeUnavailable) as caught:
        open_vendor_tool("trtexec", make_bundle(tmp_path, "10.3.0"), "int8").turn(1)
    assert reason in caught.value.found
    assert "--loadEngine=" in caught.value.next_step
