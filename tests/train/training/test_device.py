from __future__ import annotations

import pytest
import torch

from ssr_edge import __version__
from ssr_edge.common.errors import RuntimeUnavailable
from ssr_train.training.device import autocast_dtype, choose_device, tool_versions


def test_auto_takes_a_gpu_only_where_there_is_one() -> None:
    assert choose_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu") == "cpu"


@pytest.mark.parametrize("name", ["quantum", "", "cpu:x", "cuda:99"])
def test_a_device_that_is_not_here_is_refused(name: str) -> None:
    with pytest.raises(RuntimeUnavailable) as error:
        choose_device(name)
    assert repr(name) in error.value.found
    assert error.value.next_step == "ssr-edge doctor"


def test_reduced_precision_is_bfloat16_or_none() -> None:
    assert autocast_dtype(torch.device("cpu")) in (torch.bfloat16, None)


def test_versions_are_those_in_use() -> None:
    assert tool_versions()["torch"] == torch.__version__
    assert tool_versions()["ssr-edge"] == __version__
