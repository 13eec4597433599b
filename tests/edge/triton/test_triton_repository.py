from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tritonclient.grpc import model_config_pb2 as pb

from ssr_edge.bench.report.schema import read_bench
from ssr_edge.bundle.bundle import Bundle, model_file, write_manifest
from ssr_edge.common.errors import BundleError, OutputError, UsageError
from ssr_edge.images.preprocess import load, load_first
from ssr_edge.runners.choose import open_runner
from ssr_edge.triton.models import plan_models
from ssr_edge.triton.repository import write_repository

PLANS = [{"runtime": "tensorrt", "precision": precision} for precision in ("fp32", "fp16", "int8")]
BF16 = {"runtime": "openvino", "precision": "bf16", "model": "model.fp32.onnx"}
EVERY = [
    ("tensorrt", "fp32"),
    ("tensorrt", "fp16"),
    ("tensorrt", "int8"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("openvino", "int8"),
    ("onnxruntime", "fp32"),
    ("onnxruntime", "fp16"),
    ("onnxruntime", "int8"),
]
FILES = {"tensorrt": ["model.plan"], "openvino": ["model.bin", "model.xml"], "onnxruntime": ["model.onnx"]}
Parse = Callable[[Path], pb.ModelConfig]


def write(bundle: Bundle, repository: Path, bench: Path | None = None, **asked: Any) -> list[str]:
    lines: list[str] = []
    write_repository(
        bundle, repository, plan_models(bundle, **asked), read_bench(bench) if bench else None, lines.append
    )
    return lines


def listing(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and time of every file, by path."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def of_onnx(values: Any) -> dict[str, tuple[str, list[int]]]:
    """Name -> numpy dtype and shape without the batch, as read by ONNX."""
    return {
        value.name: (
            np.dtype(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)).name,
            [dim.dim_value for dim in value.type.tensor_type.shape.dim[1:]],
        )
        for value in values
    }


def of_config(values: Any, batched: bool) -> dict[str, tuple[str, list[int]]]:
    numpy_names = {pb.TYPE_UINT8: "uint8", pb.TYPE_FP32: "float32", pb.TYPE_FP16: "float16"}
    if not batched:
        assert all(value.dims[0] == -1 for value in values)
    return {value.name: (numpy_names[value.data_type], list(value.dims)[0 if batched else 1 :]) for value in values}


@pytest.mark.parametrize(("runtime", "precision"), EVERY)
def test_a_configuration_matches_the_onnx_file(
    with_engines: Callable[..., Bundle], tmp_path: Path, parse: Parse, runtime: str, precision: str
) -> None:
    bundle = with_engines(*PLANS, BF16)
    write(bundle, tmp_path / "models", runtime=runtime, precisions=[precision])
    folder = tmp_path / "models" / f"demo_{precision}"
    config, graph = parse(folder), onnx.load(bundle.file(model_file(precision))).graph
    batched = runtime != "openvino"
    assert config.name == folder.name
    assert of_config(config.input, batched) == of_onnx(graph.input) == {"images": ("uint8", [224, 224, 3])}
    assert of_config(config.output, batched) == of_onnx(graph.output)
    assert set(of_onnx(graph.output)) == {"logits", "probabilities"}
    assert sorted(path.name for path in (folder / "1").iterdir()) == FILES[runtime]


@pytest.mark.parametrize(
    ("runtime", "backend", "platform", "kind", "most"),
    [
        ("tensorrt", "tensorrt", "tensorrt_plan", pb.ModelInstanceGroup.KIND_GPU, 32),
        ("onnxruntime", "onnxruntime", "onnxruntime_onnx", pb.ModelInstanceGroup.KIND_CPU, 64),
        ("openvino", "openvino", "", pb.ModelInstanceGroup.KIND_CPU, 0),
    ],
)
def test_a_backend_gets_its_names_its_device_and_its_batch(
    with_engines: Callable[..., Bundle],
    tmp_path: Path,
    parse: Parse,
    runtime: str,
    backend: str,
    platform: str,
    kind: int,
    most: int,
) -> None:
    write(with_engines(*PLANS), tmp_path, runtime=runtime, precisions=["int8"])
    config = parse(tmp_path / "demo_int8")
    assert (config.backend, config.platform, config.max_batch_size) == (backend, platform, most)
    assert [(group.kind, group.count) for group in config.instance_group] == [(kind, 1)]
    assert config.version_policy.latest.num_versions == 1
    assert not config.HasField("dynamic_batching")  # nothing was measured


def test_only_bf16_asks_openvino_for_bf16(with_engines: Callable[..., Bundle], tmp_path: Path, parse: Parse) -> None:
    write(with_engines(BF16), tmp_path, runtime="openvino")
    for precision, hint in (("fp32", None), ("bf16", "YES"), ("int8", None)):
        found = {key: value.string_value for key, value in parse(tmp_path / f"demo_{precision}").parameters.items()}
        assert found == {"PERFORMANCE_HINT": "LATENCY"} | ({"HINT_BF16": hint} if hint else {})


def test_labels_are_the_classes_and_the_warm_up_is_an_image(
    with_engines: Callable[..., Bundle], tmp_path: Path, parse: Parse, demo_images: list[Path]
) -> None:
    bundle = with_engines(*PLANS)
    write(bundle, tmp_path, precisions=["int8", "fp32"])
    for name, shape in (("demo_int8", [224, 224, 3]), ("demo_fp32", [224, 224, 3])):
        config = parse(tmp_path / name)
        labeled = {output.name: output.label_filename for output in config.output}
        assert labeled == {"logits": "", "probabilities": "labels.txt"}
        assert (tmp_path / name / "labels.txt").read_text().split() == bundle.manifest.classes
        (sample,) = config.model_warmup
        assert (sample.batch_size, list(sample.inputs)) == (1, ["images"])
        assert (sample.inputs["images"].data_type, list(sample.inputs["images"].dims)) == (pb.TYPE_UINT8, shape)
        raw = np.fromfile(tmp_path / name / "warmup" / sample.inputs["images"].input_data_file, np.uint8)
        assert np.array_equal(raw.reshape(shape), load(demo_images[0]))


def test_an_openvino_model_is_warmed_up_with_its_batch_axis(
    with_engines: Callable[..., Bundle], tmp_path: Path, parse: Parse
) -> None:
    write(with_engines(), tmp_path, runtime="openvino", precisions=["int8"])
    (sample,) = parse(tmp_path / "demo_int8").model_warmup
    assert list(sample.inputs["images"].dims) == [1, 224, 224, 3]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_ir_computes_what_the_bundles_engine_computes_for_any_number_of_images(
    tiny_bundle: Bundle, tmp_path: Path, demo_images: list[Path], precision: str
) -> None:
    import openvino

    from ssr_edge.runners.openvino.runner import compile_options

    write(tiny_bundle, tmp_path, runtime="openvino", precisions=[precision])
    core, images = openvino.Core(), np.stack(load_first(demo_images, 5))
    model = core.read_model(tmp_path / f"{tiny_bundle.path.name}_{precision}" / "1" / "model.xml")
    # Like Triton's backend: the type comes from the configuration, the shape from each request.
    typed = openvino.preprocess.PrePostProcessor(model)
    typed.input("images").tensor().set_element_type(openvino.Type.u8)
    request = core.compile_model(typed.build(), "CPU", compile_options(precision)).create_infer_request()
    with open_runner(tiny_bundle, "openvino", precision) as runner:
        for count in (1, 5, 2):
            request.infer({"images": images[:count]})
            expected = runner.infer(images[:count])
            for name, values in (("logits", expected.logits), ("probabilities", expected.probabilities)):
                assert np.abs(request.get_tensor(name).data - values).max() <= 1e-5 * np.abs(values).max()


def test_what_was_measured_decides_batches_and_waiting(
    with_engines: Callable[..., Bundle], tmp_path: Path, parse: Parse, make_bench: Callable[..., Path]
) -> None:
    bundle = with_engines(*PLANS)
    bench = make_bench(
        bundle,
        {
            "tensorrt-int8": {1: [1.0] * 6, 4: [2.0] * 6, 8: [2.4] * 6, 16: [4.8] * 6, 64: [6.4] * 6},
            "tensorrt-fp16": {1: [1.0] * 6, 8: [8.0] * 6},
        },
        disturbed=True,
    )
    text = "\n".join(write(bundle, tmp_path / "models", bench))
    int8 = parse(tmp_path / "models" / "demo_int8")
    assert list(int8.dynamic_batching.preferred_batch_size) == [4, 8]
    assert int8.dynamic_batching.max_queue_delay_microseconds == 700
    assert [sample.batch_size for sample in int8.model_warmup] == [1, 4, 8]
    for part in ("batches of 4, 8", "700 us", "1.000 ms", "0.700 ms less", "disturbed"):
        assert part in text
    assert not parse(tmp_path / "models" / "demo_fp16").HasField("dynamic_batching")
    assert "batch 8: 1.00x [1.00, 1.00]" in text
    assert not parse(tmp_path / "models" / "demo_fp32").HasField("dynamic_batching")
    assert "no tensorrt-fp32: ssr-edge bench --bundle" in text


def test_without_a_measurement_the_command_for_it_is_given(with_engines: Callable[..., Bundle], tmp_path: Path) -> None:
    text = "\n".join(write(with_engines(*PLANS), tmp_path, precisions=["int8"]))
    assert "ssr-edge bench --bundle" in text
    assert "--runtime tensorrt --precision int8 --batch 1 --batch 2" in text and "--bench bench.json" in text


def test_a_bench_of_another_bundle_writes_nothing(
    with_engines: Callable[..., Bundle], tmp_path: Path, make_bench: Callable[..., Path]
) -> None:
    bundle = with_engines()
    bench = make_bench(bundle, {"openvino-int8": {1: [1.0]}})
    bundle.manifest.created = "2020-01-01T00:00:00+00:00"
    with pytest.raises(UsageError, match=r"bench\.json"):
        write(bundle, tmp_path / "models", bench)
    assert not (tmp_path / "models").exists()


def test_a_plan_with_a_minimum_batch_is_warmed_up_with_it(
    with_engines: Callable[..., Bundle], tmp_path: Path, parse: Parse
) -> None:
    lines = write(with_engines(PLANS[2] | {"batch": (4, 8, 16)}), tmp_path, precisions=["int8"])
    assert any("at least 4 images" in line for line in lines)
    config = parse(tmp_path / "demo_int8")
    assert (config.max_batch_size, config.model_warmup[0].batch_size) == (16, 4)


def test_the_file_states_its_origin(with_engines: Callable[..., Bundle], tmp_path: Path) -> None:
    write(with_engines(*PLANS), tmp_path, precisions=["int8"])
    comments = [line for line in (tmp_path / "demo_int8" / "config.pbtxt").read_text().splitlines() if line[0] == "#"]
    text = " ".join(line.removeprefix("# ") for line in comments)
    assert "from engines/2.plan of ssresnext14_8x4d" in text and "BGR" in text
    assert "TensorRT 10.13.3.9 for sm_89" in text and "tritonserver:25.10-py3" in text
    assert max(map(len, comments)) <= 120


def test_the_same_bundle_again_changes_nothing(with_engines: Callable[..., Bundle], tmp_path: Path) -> None:
    bundle = with_engines(*PLANS)
    first = write(bundle, tmp_path / "models")
    before = listing(tmp_path / "models")
    again = write(bundle, tmp_path / "models")
    assert listing(tmp_path / "models") == before
    assert [line.replace("written", "unchanged") for line in first] == again
    assert not [name for name in before if ".part" in name]


def test_another_model_is_another_version_and_the_old_one_stays(
    with_engines: Callable[..., Bundle], tmp_path: Path
) -> None:
    bundle = with_engines(*PLANS)
    models = tmp_path / "models"
    write(bundle, models, precisions=["int8", "fp32"])
    (models / "demo_int8" / "7").mkdir()  # not written by ssr-edge
    before = listing(models)
    (bundle.path / "engines" / "2.plan").write_bytes(b"rebuilt")
    write_manifest(bundle.path, bundle.manifest)
    lines = write(Bundle.open(bundle.path), models, precisions=["int8", "fp32"])
    after = listing(models)
    assert after["demo_int8/8/model.plan"][0] == b"rebuilt"
    assert {name: after[name] for name in before if "ssr-edge.json" not in name} == {
        name: content for name, content in before.items() if "ssr-edge.json" not in name
    }
    assert [line for line in lines if not line.startswith(" ")] == [
        "demo_int8/8: engines/2.plan with tensorrt, written",
        "demo_fp32/1: engines/0.plan with tensorrt, unchanged",
    ]


def test_a_version_that_was_changed_is_written_anew(with_engines: Callable[..., Bundle], tmp_path: Path) -> None:
    bundle = with_engines(*PLANS)
    write(bundle, tmp_path / "models", precisions=["int8"])
    (tmp_path / "models" / "demo_int8" / "1" / "model.plan").write_bytes(b"changed")
    write(bundle, tmp_path / "models", precisions=["int8"])
    assert (tmp_path / "models" / "demo_int8" / "1" / "model.plan").read_bytes() == b"changed"
    assert (tmp_path / "models" / "demo_int8" / "2" / "model.plan").read_bytes() == bundle.file(
        "engines/2.plan"
    ).read_bytes()


@pytest.mark.parametrize("there", ["config.pbtxt", "1/model.onnx", "ssr-edge.json"])
def test_a_folder_that_is_not_ssr_edges_is_refused_before_anything_is_written(
    tiny_bundle: Bundle, tmp_path: Path, there: str
) -> None:
    models, name = tmp_path / "models", f"{tiny_bundle.path.name}_int8"
    file = models / name / there
    file.parent.mkdir(parents=True)
    file.write_text('{"written_by": "another program"}')
    before = listing(models)
    with pytest.raises(UsageError, match=name) as refused:
        write(tiny_bundle, models)
    assert "ssr-edge.json" in refused.value.expected
    assert listing(models) == before


def test_other_models_of_a_repository_stay(tiny_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "another" / "1").mkdir(parents=True)
    (tmp_path / "another" / "config.pbtxt").write_text("name: 'another'")
    (tmp_path / f"{tiny_bundle.path.name}_fp32").mkdir()  # empty, so nothing is lost
    write(tiny_bundle, tmp_path, precisions=["fp32"])
    assert (tmp_path / "another" / "config.pbtxt").read_text() == "name: 'another'"
    assert (tmp_path / f"{tiny_bundle.path.name}_fp32" / "1" / "model.onnx").is_file()


def test_a_changed_file_of_the_bundle_is_not_served(with_engines: Callable[..., Bundle], tmp_path: Path) -> None:
    bundle = with_engines(*PLANS)
    (bundle.path / "engines" / "2.plan").write_bytes(b"evil")
    with pytest.raises(BundleError, match=r"engines/2\.plan"):
        write(bundle, tmp_path / "models", precisions=["int8"])
    assert listing(tmp_path / "models") == {}


def test_a_repository_that_cannot_be_written(tiny_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "a_file").write_text("")
    with pytest.raises(OutputError, match="a_file"):
        write(tiny_bundle, tmp_path / "a_file")


def test_a_bundle_is_no_repository(with_engines: Callable[..., Bundle]) -> None:
    bundle = with_engines()
    with pytest.raises(UsageError, match=str(bundle.path)) as refused:
        write(bundle, bundle.path)
    assert "model_repository" in refused.value.next_step


def test_the_class_activation_maps_are_an_output_too(
    with_engines: Callable[..., Bundle], tmp_path: Path, parse: Parse
) -> None:
    bundle = with_engines()
    model = onnx.load(bundle.file("model.fp32.onnx"))
    maps = onnx.helper.make_tensor_value_info("cam", onnx.TensorProto.FLOAT, ["batch", 8, 7, 7])
    model.graph.output.append(maps)
    onnx.save(model, bundle.path / "model.fp32.onnx")
    write_manifest(bundle.path, bundle.manifest)
    write(Bundle.open(bundle.path), tmp_path / "models", precisions=["fp32"])
    outputs = {one.name: list(one.dims) for one in parse(tmp_path / "models" / "demo_fp32").output}
    assert outputs == {"logits": [8], "probabilities": [8], "cam": [8, 7, 7]}


@pytest.mark.parametrize(("kind", "shape"), [("FLOAT", [2, 8]), ("INT64", ["batch", 8])])
def test_a_model_that_is_not_ssr_edges_is_refused(
    with_engines: Callable[..., Bundle], tmp_path: Path, kind: str, shape: list[Any]
) -> None:
    bundle = with_engines()
    model = onnx.load(bundle.file("model.fp32.onnx"))
    odd = onnx.helper.make_tensor_value_info("odd", getattr(onnx.TensorProto, kind), shape)
    model.graph.output.append(odd)
    onnx.save(model, bundle.path / "model.fp32.onnx")
    write_manifest(bundle.path, bundle.manifest)
    with pytest.raises(BundleError, match="odd"):
        write(Bundle.open(bundle.path), tmp_path / "models", precisions=["fp32"])


def test_a_bundle_in_a_folder_of_any_name_makes_a_name_that_triton_takes(tiny_bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / "my bundle (2)")
    write(Bundle.open(tmp_path / "my bundle (2)"), tmp_path / "models", precisions=["fp32"])
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["my_bundle_2__fp32"]
