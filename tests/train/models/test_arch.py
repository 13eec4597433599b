from __future__ import annotations

import json

import pytest

from ssr_edge.common.errors import UsageError
from ssr_train.models.arch import ArchConfig, arch_by_name, arch_from_dict, arch_names


def test_the_papers_network_is_the_first_of_the_list() -> None:
    assert arch_names()[0] == "ssresnext50_32x4d"
    assert arch_by_name("ssresnext50_32x4d") == ArchConfig(name="ssresnext50_32x4d", blocks=(3, 4, 6, 3))


@pytest.mark.parametrize("name", [*arch_names(), "ssresnext50_32x4d/shared", "ssresnext14_8x4d/shared"])
def test_a_config_survives_json_and_keeps_the_name_it_was_asked_by(name: str) -> None:
    config = arch_by_name(name)
    assert config.name == name
    assert arch_from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_table_2s_ablations_switch_off_one_mechanism_after_the_other() -> None:
    mechanisms = []
    for config in map(arch_by_name, ("resnet50", "resnext50_32x4d", "se_resnext50_32x4d", "ssresnext50_32x4d")):
        assert isinstance(config, ArchConfig)
        mechanisms.append((config.groups > 1, config.se_reduction > 0, config.kernels == "parallel"))
    assert mechanisms == [(False, False, False), (True, False, False), (True, True, False), (True, True, True)]


@pytest.mark.parametrize("name", ["resnet51", "", "/shared", "ssresnext50_32x4d/twice", "Resnet50"])
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError) as error:
        arch_by_name(name)
    assert repr(name) in error.value.found
    assert "ssresnext14_8x4d" in error.value.expected


@pytest.mark.parametrize("name", ["resnet50", "resnext50_32x4d", "se_resnext50_32x4d"])
def test_a_single_kernel_has_nothing_to_share(name: str) -> None:
    with pytest.raises(UsageError) as raised:
        arch_by_name(f"{name}/shared")
    assert f"{name} has no parallel kernels" in raised.value.found
