"""Bundles: changed files are refused, and a write that fails leaves the earlier bundle as it was."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.bundle.bundle import MANIFEST, Bundle, model_file, refused_place, write_manifest, writing_bundle
from ssr_edge.common.errors import BundleError, GateRefused
from ssr_edge.common.files import sha256_of


@pytest.fixture
def bundle(tiny_bundle: Bundle, tmp_path: Path) -> Bundle:
    """A copy that may be changed."""
    shutil.copytree(tiny_bundle.path, tmp_path / "copy")
    return Bundle.open(tmp_path / "copy")


def change_manifest(bundle: Bundle, **fields: Any) -> Path:
    file = bundle.path / MANIFEST
    file.write_text(json.dumps(json.loads(file.read_bytes()) | fields))
    return bundle.path


def test_a_bundle_lists_its_models_and_engines(tiny_bundle: Bundle) -> None:
    listed = {file.path for file in tiny_bundle.manifest.files}
    assert listed == {path.relative_to(tiny_bundle.path).as_posix() for path in files_of(tiny_bundle)} - {MANIFEST}
    assert {"model.fp32.onnx", "model.fp16.onnx", "model.int8.onnx", "calibration.json"} <= listed
    engines = [engine.file for engine in tiny_bundle.manifest.engines]
    assert len(engines) == 2
    assert {*engines, *(file.replace(".blob", ".json") for file in engines)} <= listed


def files_of(bundle: Bundle) -> list[Path]:
    return [path for path in bundle.path.rglob("*") if path.is_file()]


def test_every_file_is_given_after_its_hash_was_found_right(tiny_bundle: Bundle) -> None:
    for entry in tiny_bundle.manifest.files:
        path = tiny_bundle.file(entry.path)
        assert path == tiny_bundle.path / entry.path
        assert (sha256_of(path), path.stat().st_size) == (entry.sha256, entry.size)


@pytest.mark.parametrize("name", ["model.int8.onnx", "model.fp32.onnx", "calibration.json", "engines"])
def test_one_changed_bit_is_refused(bundle: Bundle, name: str) -> None:
    name = bundle.manifest.engines[0].file if name == "engines" else name
    data = bytearray((bundle.path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle.path / name).write_bytes(data)
    with pytest.raises(BundleError) as error:
        bundle.file(name)
    assert str(bundle.path / name) in error.value.found
    assert "SHA-256" in error.value.expected


@pytest.mark.parametrize("change", [lambda data: data + b"\0", lambda data: data[:-1], lambda data: b""])
def test_another_size_is_refused(bundle: Bundle, change: Any) -> None:
    file = bundle.path / "model.int8.onnx"
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(BundleError) as error:
        bundle.file("model.int8.onnx")
    assert "model.int8.onnx" in error.value.found
    assert "SHA-256" in error.value.expected
    assert error.value.next_step.startswith("ssr-edge build-engine")


def test_a_missing_file_is_named(bundle: Bundle) -> None:
    (bundle.path / "model.fp32.onnx").unlink()
    with pytest.raises(BundleError) as error:
        bundle.file("model.fp32.onnx")
    assert "model.fp32.onnx" in error.value.found
    assert "missing" in error.value.found


def test_a_file_that_the_manifest_does_not_list_is_refused_even_if_it_is_there(bundle: Bundle) -> None:
    (bundle.path / "extra.onnx").write_bytes(b"x")
    for name in ("extra.onnx", MANIFEST, "../copy/model.int8.onnx", ""):
        with pytest.raises(BundleError) as error:
            bundle.file(name)
        assert name in error.value.found
        assert "model.int8.onnx" in error.value.expected
    assert not bundle.has("extra.onnx")
    assert bundle.has("model.int8.onnx")


def test_the_engine_built_last_is_taken(bundle: Bundle) -> None:
    first = bundle.engine("openvino", "int8")
    assert first is not None
    bundle.manifest.engines.append(first.model_copy(update={"version": "later"}))
    last = bundle.engine("openvino", "int8")
    assert last is not None and last.version == "later"
    assert bundle.engine("tensorrt", "int8") is None
    assert bundle.engine("openvino", "fp16") is None


def test_another_schema_version_is_refused(bundle: Bundle) -> None:
    with pytest.raises(BundleError) as error:
        Bundle.open(change_manifest(bundle, schema_version=2))
    assert "version 2" in error.value.found
    assert "version 1" in error.value.expected


def test_a_field_of_a_later_schema_is_named(bundle: Bundle) -> None:
    with pytest.raises(BundleError) as error:
        Bundle.open(change_manifest(bundle, surprise=1))
    assert "surprise: Extra inputs" in error.value.found


@given(st.one_of(st.binary(max_size=50), st.sampled_from([b"{}", b"[]", b"null", b'{"schema_version": 1}'])))
def test_any_other_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(BundleError) as error:
        Bundle.open(tmp_path)
    assert "schema version 1" in error.value.expected


def test_a_truncated_manifest_is_refused(bundle: Bundle) -> None:
    file = bundle.path / MANIFEST
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(BundleError, match="Invalid JSON"):
        Bundle.open(bundle.path)


def test_no_bundle_an_image_and_an_empty_folder_are_refused(tmp_path: Path, demo_images: list[Path]) -> None:
    for path in (tmp_path / "missing", tmp_path, demo_images[0]):
        with pytest.raises(BundleError) as error:
            Bundle.open(path)
        assert str(path) in error.value.found
        assert MANIFEST in error.value.expected


def test_the_newest_bundle_is_the_one_written_last(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for age, name in ((100, "b"), (300, "c"), (200, "a"), (10, ".half.part")):
        shutil.copytree(tiny_bundle.path, tmp_path / "bundles" / name)
        os.utime(tmp_path / "bundles" / name / MANIFEST, (1e9 - age, 1e9 - age))
    assert Bundle.newest().path == Path("bundles/b")


def test_without_any_bundle_the_next_command_builds_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError) as error:
        Bundle.newest()
    assert str(tmp_path / "bundles") in error.value.found
    assert error.value.next_step == "ssr-edge build-engine"


def test_a_bundle_takes_the_place_of_an_earlier_one(bundle: Bundle) -> None:
    with writing_bundle(bundle.path) as folder:
        assert list(folder.iterdir()) == []
        (folder / "model.fp32.onnx").write_bytes(b"new")
        write_manifest(folder, bundle.manifest)
    written = Bundle.open(bundle.path)
    assert [file.path for file in written.manifest.files] == ["model.fp32.onnx"]
    assert written.file("model.fp32.onnx").read_bytes() == b"new"
    assert list(bundle.path.parent.iterdir()) == [bundle.path]


def test_a_bundle_may_start_as_a_copy_of_another(tiny_bundle: Bundle, tmp_path: Path) -> None:
    with writing_bundle(tmp_path / "deep" / "new", copy_of=tiny_bundle.path) as folder:
        (folder / "extra.txt").write_text("x")
        write_manifest(folder, tiny_bundle.manifest.model_copy(deep=True))
    written = Bundle.open(tmp_path / "deep" / "new")
    assert len(written.manifest.files) == len(tiny_bundle.manifest.files) + 1
    for entry in written.manifest.files:
        written.file(entry.path)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_keeps_the_old_bundle_and_leaves_nothing_behind(bundle: Bundle, error: type[BaseException]) -> None:
    before = {path: path.read_bytes() for path in files_of(bundle)}

    def write_half() -> None:
        with writing_bundle(bundle.path) as folder:
            (folder / "model.fp32.onnx").write_bytes(b"half of it")
            raise error

    with pytest.raises(error):
        write_half()
    assert {path: path.read_bytes() for path in files_of(bundle)} == before
    assert list(bundle.path.parent.iterdir()) == [bundle.path]


def test_a_refused_bundle_is_kept_aside_replaces_an_older_one_and_is_never_the_newest(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "bundles" / "mine"
    place.parent.mkdir()
    bundle.path.rename(place)
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}

    def attempt(number: int) -> None:
        with writing_bundle(place, copy_of=place) as folder:
            (folder / f"attempt{number}").touch()
            raise GateRefused("it lost too much", expected="less", next_step="ssr-edge build-engine")

    for number in (1, 2):
        with pytest.raises(GateRefused):
            attempt(number)
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before
    assert sorted(path.name for path in place.parent.iterdir()) == ["mine", "mine.refused"]
    aside = refused_place(place)
    assert sorted(path.name for path in aside.glob("attempt*")) == ["attempt2"]
    os.utime(place / MANIFEST, (0, 0))
    monkeypatch.chdir(tmp_path)
    assert Bundle.newest().path.name == "mine"


def test_a_refused_bundle_takes_the_place_of_nothing_but_a_bundle(tmp_path: Path) -> None:
    foreign = tmp_path / "mine.refused"
    foreign.mkdir()
    (foreign / "thesis.tex").touch()
    with pytest.raises(BundleError) as error, writing_bundle(tmp_path / "mine"):
        raise AssertionError("began to write")
    assert "mine.refused" in error.value.found
    assert (foreign / "thesis.tex").exists()


def test_what_is_no_bundle_is_not_written_over(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "holiday.jpg").write_bytes(b"dear")
    (tmp_path / "file").write_bytes(b"dear")
    for path in (photos, tmp_path / "file"):
        with pytest.raises(BundleError) as error, writing_bundle(path):
            pass
        assert str(path) in error.value.found
        assert "--bundle" in error.value.next_step
    assert (photos / "holiday.jpg").read_bytes() == (tmp_path / "file").read_bytes() == b"dear"


def test_an_empty_folder_may_become_a_bundle(tiny_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    with writing_bundle(tmp_path / "new", copy_of=tiny_bundle.path):
        pass
    assert Bundle.open(tmp_path / "new").manifest == tiny_bundle.manifest


def test_model_files_are_named_by_precision() -> None:
    assert [model_file(precision) for precision in ("fp32", "int8")] == ["model.fp32.onnx", "model.int8.onnx"]
    assert model_file("bf16") == "model.fp32.onnx", "OpenVINO computes it from the FP32 file"
