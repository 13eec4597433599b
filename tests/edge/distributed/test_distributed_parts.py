from __future__ import annotations

import os
import pickle
from pathlib import Path
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.common.errors import InputError, SsrEdgeError, UsageError
from ssr_edge.distributed.inputs import open_files
from ssr_edge.distributed.parts import Part, cut, pack_inputs, unpack
from ssr_edge.images.preprocess import Image
from ssr_edge.sources.inputs import Input, still, unreadable


@given(count=st.integers(0, 60), size=st.integers(1, 25))
def test_parts_are_the_inputs_in_order(count: int, size: int) -> None:
    inputs = [still(Path(f"{number}.png")) for number in range(count)]
    parts = list(cut(inputs, size))
    assert [part.number for part in parts] == list(range(len(parts)))
    assert [item for part in parts for item in part.inputs] == inputs
    assert all(len(part.inputs) == size for part in parts[:-1])
    assert all(part.inputs for part in parts)


@given(names=st.lists(st.binary(min_size=1, max_size=8).filter(lambda name: b"\0" not in name), max_size=12))
def test_a_part_arrives_as_it_was_packed(names: list[bytes]) -> None:
    part = Part(3, [still(Path(os.fsdecode(name))) for name in names] + [unreadable("x.tif", "cut off", 2)])
    arrived = unpack(3, pack_inputs(part))
    assert arrived.digest == part.digest
    assert [(item.source, item.frame) for item in arrived.inputs] == [(i.source, i.frame) for i in part.inputs]
    with pytest.raises(InputError, match="cut off"):
        arrived.inputs[-1].read()


def not_read() -> Image:
    raise AssertionError("a digest must not read its inputs")


def test_the_digest_depends_on_names_pages_and_order() -> None:
    def digest(*pages: tuple[str, int]) -> str:
        return Part(0, [Input(name, not_read, page) for name, page in pages]).digest

    others = [(("a", 1), ("b", 0)), (("b", 0), ("a", 0)), (("a", 0),), (("ab", 0),), (("a", 0), ("b", 0), ("c", 0))]
    assert len({digest(("a", 0), ("b", 0)), *(digest(*other) for other in others)}) == 6
    assert Part(7, [Input("a", not_read)]).digest == digest(("a", 0))


def test_slides_and_videos_among_images_fail_and_by_themselves_are_refused(
    tmp_path: Path, demo_images: list[Path]
) -> None:
    (tmp_path / "b.svs").touch()
    (tmp_path / "a.jpg").write_bytes(demo_images[0].read_bytes())
    (tmp_path / "c.mp4").touch()
    image, slide, video = open_files(f"{tmp_path}/*", Event())
    assert image.read().shape == (460, 700, 3)
    for item in (slide, video):
        with pytest.raises(InputError, match=f"ssr-edge infer {item.source}"):
            item.read()
    with pytest.raises(UsageError, match=r"--ray .*c\.mp4"):
        open_files(str(tmp_path / "c.mp4"), Event())
    with pytest.raises(UsageError, match="none"):
        open_files(str(tmp_path / "none"), Event())


@pytest.mark.parametrize("kind", SsrEdgeError.__subclasses__())
def test_errors_cross_processes(kind: type[SsrEdgeError]) -> None:
    error = pickle.loads(pickle.dumps(kind("found", expected="expected", next_step="next")))
    assert type(error) is kind
    assert (error.found, error.expected, error.next_step) == ("found", "expected", "next")
