"""The server runner against a scripted server over real gRPC; tests/edge/cli uses a real server."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.common.errors import RuntimeUnavailable, ServerError
from ssr_edge.common.install_hint import install_hint
from ssr_edge.runners.base import Runner
from ssr_edge.runners.choose import open_server_runner
from ssr_edge.runners.server.address import RetryPolicy, ServerAddress
from tests.doubles.kserve import MODEL, Script, probabilities, serving

UNAVAILABLE, INVALID = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INVALID_ARGUMENT
# One of each class by the double's rule.
IMAGES = np.zeros((8, 224, 224, 3), np.uint8)
IMAGES[:, 0, 0, 0] = range(8)
BRIEF = RetryPolicy(deadline_s=0.3, retry_s=0.5)


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def address(script: Script) -> Iterator[ServerAddress]:
    with serving(script) as address:
        yield address


def opened(address: ServerAddress, retry_policy: RetryPolicy = BRIEF, slots: int = 1) -> Runner:
    return open_server_runner(address, slots, retry_policy)


def test_answers_belong_to_their_tickets_however_many_are_under_way(script: Script, address: ServerAddress) -> None:
    with opened(address, RetryPolicy(), slots=3) as runner:
        script.failures.extend([0.3, 0.2, 0.1])
        tickets = [runner.submit(IMAGES[start : start + size]) for start, size in ((0, 1), (1, 3), (4, 4))]
        last, middle, first = (runner.collect(ticket) for ticket in reversed(tickets))
    assert script.most_at_once == 3
    found = np.concatenate([first.probabilities, middle.probabilities, last.probabilities])
    np.testing.assert_array_equal(found, probabilities(IMAGES))
    assert found.argmax(axis=1).tolist() == list(range(8))
    np.testing.assert_array_equal(first.logits, np.log(probabilities(IMAGES[:1])))
    assert first.cam is None


def test_it_says_what_it_is_and_asks_for_one_version_throughout(script: Script, address: ServerAddress) -> None:
    with opened(address) as runner:
        assert (runner.name, runner.device, runner.slots) == (f"server-{MODEL}", address.server, 1)
        assert (runner.version, runner.threads) == ("double 1.0, model version 3", None)
        assert runner.origin == "served by double 1.0, model version 3"
        runner.infer(IMAGES)
    assert [request.model_version for request in script.asked] == ["", "3"]
    assert [output.name for output in script.asked[-1].outputs] == ["logits", "probabilities"]
    assert script.asked[-1].raw_input_contents == [IMAGES.tobytes()]


@pytest.mark.parametrize("status", [UNAVAILABLE, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.CANCELLED])
def test_what_passes_is_tried_again(script: Script, address: ServerAddress, status: grpc.StatusCode) -> None:
    with opened(address, RetryPolicy(retry_s=20)) as runner:
        script.failures.extend([status] * 3)
        np.testing.assert_array_equal(runner.infer(IMAGES).probabilities, probabilities(IMAGES))
    assert len(script.asked) == 1 + 4


def test_an_answer_that_comes_too_late_is_asked_for_again(script: Script, address: ServerAddress) -> None:
    with opened(address, RetryPolicy(deadline_s=0.2, retry_s=20)) as runner:
        script.failures.append(0.6)
        np.testing.assert_array_equal(runner.infer(IMAGES[:2]).probabilities, probabilities(IMAGES[:2]))
    assert len(script.asked) == 1 + 2


def test_a_refusal_is_not_tried_again(script: Script, address: ServerAddress) -> None:
    with opened(address) as runner:
        script.always = INVALID
        with pytest.raises(ServerError) as refused:
            runner.infer(IMAGES)
    assert "breast: invalid argument: scripted failure" in refused.value.found
    assert len(script.asked) == 1 + 1


@pytest.mark.parametrize(
    ("always", "words"), [(UNAVAILABLE, "unavailable: scripted failure"), (5.0, "deadline exceeded")]
)
def test_a_server_that_is_gone_for_good_is_given_up_by_all_requests(
    script: Script, address: ServerAddress, always: Any, words: str
) -> None:
    with opened(address, slots=3) as runner:
        script.always = always
        started = time.monotonic()
        tickets = [runner.submit(IMAGES[:1]) for _ in range(3)]
        for ticket in tickets:
            with pytest.raises(ServerError, match=f"after .*{words}") as error:
                runner.collect(ticket)
    # The first failure comes within the deadline, retries take retry_s, and the last try has a deadline too.
    assert BRIEF.retry_s < time.monotonic() - started < 10
    assert error.value.exit_code == 1
    assert "0.3 s" in error.value.expected
    assert "0.5 s" in error.value.expected
    assert "--resume" in error.value.next_step


def test_without_retries_the_first_failure_is_final(script: Script, address: ServerAddress) -> None:
    with opened(address, RetryPolicy(retry_s=0)) as runner:
        script.failures.append(UNAVAILABLE)
        with pytest.raises(ServerError, match="after 1 try: unavailable"):
            runner.infer(IMAGES)


def test_closing_waits_for_no_pause_and_no_deadline(script: Script, address: ServerAddress) -> None:
    runner = opened(address, RetryPolicy(deadline_s=60, retry_s=600), slots=2)
    script.failures.append(3.0)
    script.always = UNAVAILABLE
    runner.submit(IMAGES[:1])
    runner.submit(IMAGES[:1])
    time.sleep(0.2)
    started = time.monotonic()
    runner.close()
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ([("input", "UINT8", [-1, 224, 224, 3])], None),
        ([("images", "FP32", [-1, 224, 224, 3])], None),
        ([("images", "UINT8", [-1, 3, 224, 224])], None),
        ([("images", "UINT8", [224, 224, 3])], None),
        ([("images", "UINT8", [8, 224, 224, 3])], None),
        ([("images", "UINT8", [-1, 224, 224, 3]), ("scale", "FP32", [1])], None),
        ([], None),
        (None, [("probabilities", "FP32", [-1, 8])]),
        (None, [("logits", "FP32", [-1, 8]), ("probabilities", "FP16", [-1, 8])]),
        (None, [("logits", "FP32", [-1, 1000]), ("probabilities", "FP32", [-1, 1000])]),
    ],
)
def test_another_model_is_refused_before_any_request(
    script: Script, address: ServerAddress, inputs: Any, outputs: Any
) -> None:
    script.inputs, script.outputs = (
        script.inputs if inputs is None else inputs,
        script.outputs if outputs is None else outputs,
    )
    with pytest.raises(ServerError, match=MODEL) as error:
        opened(address)
    for tensor in ("images UINT8 [n, 224, 224, 3]", "logits FP32 [n, 8]", "probabilities FP32 [n, 8]"):
        assert tensor in error.value.expected
    for name, kind, _ in (*script.inputs, *script.outputs):
        assert f"{name} {kind} [" in error.value.found
    assert script.asked == []


def test_other_classes_are_refused(script: Script, address: ServerAddress) -> None:
    script.extensions, script.labels = ["classification"], sorted(CLASSES)
    with pytest.raises(ServerError, match="A, DC, F, LC, MC, PC, PT, TA") as error:
        opened(address)
    assert "A, F, PT, TA, DC, LC, MC, PC" in error.value.expected


@pytest.mark.parametrize("labels", [list(CLASSES), []])
def test_a_bundles_classes_and_a_model_without_labels_are_taken(
    script: Script, address: ServerAddress, labels: list[str]
) -> None:
    script.extensions, script.labels = ["classification"], labels
    with opened(address) as runner:
        assert runner.infer(IMAGES).probabilities.shape == (8, 8)


@pytest.mark.parametrize(("first", "configured", "most"), [(-1, 4, 4), (-1, 0, 16), (-1, 64, 16), (1, 0, 1)])
def test_the_largest_batch_is_what_the_server_takes(
    script: Script, address: ServerAddress, first: int, configured: int, most: int
) -> None:
    script.extensions, script.max_batch_size = ["model_configuration"], configured
    script.inputs = [("images", "UINT8", [first, 224, 224, 3])]
    with opened(address) as runner:
        assert runner.max_batch == most


def reshaped(answer: Any) -> None:
    answer.outputs[1].shape[0] += 1


def shorter(answer: Any) -> None:
    answer.outputs[1].shape[1] -= 1
    answer.raw_output_contents[1] = answer.raw_output_contents[1][: 4 * 7 * answer.outputs[1].shape[0]]


def unnamed(answer: Any) -> None:
    answer.outputs[1].name = "p"


def halved(answer: Any) -> None:
    answer.outputs[1].datatype = "FP16"
    answer.raw_output_contents[1] = answer.raw_output_contents[1][::2]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (reshaped, "cannot reshape"),
        (shorter, r"probabilities float32 \[8, 7\]"),
        (unnamed, "no probabilities"),
        (halved, r"probabilities float16 \[8, 8\]"),
    ],
)
def test_an_answer_that_is_not_what_was_announced_is_an_error(
    script: Script, address: ServerAddress, spoil: Any, words: str
) -> None:
    with opened(address) as runner:
        script.spoil = spoil
        with pytest.raises(ServerError, match=words):
            runner.infer(IMAGES)


def test_a_wrong_address_or_name_ends_at_once() -> None:
    with pytest.raises(ServerError, match=r"grpc://127\.0\.0\.1:1: unavailable: .*Connection refused"):
        open_server_runner(ServerAddress("127.0.0.1:1", MODEL))
    with serving(Script()) as address, pytest.raises(ServerError, match="brest: not found: unknown model"):
        open_server_runner(ServerAddress(address.target, "brest"))


def test_a_server_that_accepts_and_never_answers_is_given_up_within_the_deadline() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = ServerAddress(f"127.0.0.1:{silent.getsockname()[1]}", MODEL)
        with pytest.raises(ServerError) as refused:
            opened(address)
    assert address.server in refused.value.found
    assert f"{BRIEF.deadline_s:g} s" in refused.value.expected


def test_without_the_client_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ssr_edge.runners.server.runner", raising=False)
    monkeypatch.setitem(sys.modules, "tritonclient", None)
    monkeypatch.setitem(sys.modules, "tritonclient.grpc", None)
    with pytest.raises(RuntimeUnavailable, match="KServe v2") as error:
        open_server_runner(ServerAddress("127.0.0.1:1", MODEL))
    assert error.value.next_step == install_hint("server")
