"""What every vendor's tool looks like to the benchmark, and how it is run."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ssr_edge.common.errors import RuntimeUnavailable

# Beside the time that is measured: more than any tool takes to load, compile and warm up.
_OVERHEAD_S = 300.0


@dataclass(frozen=True)
class VendorTimes:
    """What a tool measured in one turn: one image a call, the next call begun when the last has returned.

    median_ms, p90_ms: latency as the tool has it (`Peer.what`); p90_ms None where it prints but one percentile.
    mean_call_ms: duration of the measurement by calls, so whatever the host does between them is inside.
    version: of the runtime, as the tool says. command: what to type for the same.
    """

    tool: str
    version: str
    command: str
    median_ms: float
    p90_ms: float | None
    mean_call_ms: float
    calls: int


class VendorTool(Protocol):
    """A vendor's tool, ready to run. what: the time it takes, compared with `Runner.infer`'s, in words."""

    tool: str
    what: str

    def turn(self, seconds: float) -> VendorTimes:
        """Runs the tool for a while (whole seconds, at least one) in a process of its own, and waits for it.

        It loads the model anew each time, so turns can stand between those of our engines.

        Raises:
            RuntimeUnavailable: the tool fails, hangs or prints something else than expected.
        """


def run_tool(command: Sequence[str], seconds: float, env: Mapping[str, str] | None = None) -> str:
    """What the tool prints, to stdout and stderr. seconds: how long it measures. env: instead of this process's.

    Raises:
        RuntimeUnavailable: it can't be started, ends with an error or does not end.
    """
    try:
        done = subprocess.run(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds + _OVERHEAD_S,
            check=False,
        )
    except OSError as error:
        raise tool_failed(command, error.strerror or str(error)) from error
    except subprocess.TimeoutExpired as error:
        raise tool_failed(command, f"no end after {error.timeout:g} s") from error
    if done.returncode != 0:
        raise tool_failed(command, f"exit code {done.returncode}; {_final_statistics(done.stdout)}")
    return done.stdout


def find_in(said: str, pattern: str, command: Sequence[str]) -> re.Match[str]:
    """The first match of `pattern`, in which `^` begins a line.

    Raises:
        RuntimeUnavailable: there is none.
    """
    found = re.search(pattern, said, re.MULTILINE)
    if found is None:
        raise tool_failed(command, f"nothing of the form {pattern!r} in what it printed; {_final_statistics(said)}")
    return found


def tool_failed(command: Sequence[str], reason: str) -> RuntimeUnavailable:
    """The error of a tool that was run in vain."""
    return RuntimeUnavailable(
        f"{command[0]}: {reason}", expected="its latency", next_step=f"{shlex.join(command)}  (shows all it says)"
    )


def _final_statistics(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    # What follows an error is often advice, or the way back through the tool's own code.
    errors = [line for line in lines if re.search(r"\[ ?(E|ERROR) ?\]|^\w*(Error|Exception)\b", line)]
    return f"it said: {(errors or lines)[-1]}" if lines else "it said nothing"
