from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.common.errors import UsageError
from ssr_edge.runners.server.address import ServerAddress


@pytest.mark.parametrize(
    ("text", "target", "model"),
    [
        ("grpc://127.0.0.1:8001/breast", "127.0.0.1:8001", "breast"),
        ("grpc://triton.lab:8001/breast_int8/", "triton.lab:8001", "breast_int8"),
        ("grpc://[::1]:8081/breast", "[::1]:8081", "breast"),
        ("GRPC://box:1/a%20b", "box:1", "a b"),
    ],
)
def test_an_address_has_host_port_and_model(text: str, target: str, model: str) -> None:
    found = ServerAddress.parse(text)
    assert (found.target, found.model, found.server) == (target, model, f"grpc://{target}")


@given(st.text(min_size=1).filter(lambda name: name.strip("/")), st.integers(1, 65535))
def test_any_name_of_a_model_can_be_written(name: str, port: int) -> None:
    found = ServerAddress.parse(f"grpc://host:{port}/{quote(name.encode('utf-8', 'replace'), safe='')}")
    assert (found.target, found.model) == (f"host:{port}", name.encode("utf-8", "replace").decode())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("http://host:8000/breast", "not grpc"),
        ("host:8001/breast", "not grpc"),
        ("", "not grpc"),
        ("grpc://host:8001", "no model"),
        ("grpc://host:8001/", "no model"),
        ("grpc://host/breast", "no port"),
        ("grpc://:8001/breast", "no host"),
        ("grpc://host:port/breast", "Port could not be cast to integer"),
        ("grpc://host:70000/breast", "Port out of range"),
        ("grpc://[::1/breast", "Invalid IPv6 URL"),
        ("grpc://host:8001/breast/versions/1", "more than"),
        ("grpc://me:secret@host:8001/breast", "more than"),
        ("grpc://host:8001/breast?x=1", "more than"),
    ],
)
def test_anything_else_is_a_usage_error(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=re.escape(why)) as error:
        ServerAddress.parse(text)
    assert error.value.expected == "grpc://HOST:PORT/MODEL"
