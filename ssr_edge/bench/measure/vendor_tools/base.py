"""Common interface of the vendors' benchmark tools, and how they are run."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ssr_edge.common.errors import RuntimeUnavailable

# Added to the measured time: more than any tool needs to load, compile and warm up.
_OVERHEAD_S = 300.0


@dataclass(frozen=True)
class VendorTimes:
    """Result of one turn of a tool: one image per call, each call starting when the previous one has returned.

    median_ms, p90_ms: latency as defined by the tool (`VendorTool.what`); p90_ms is None if it prints one percentile.
    mean_call_ms: duration of the measurement / calls, including host work between calls.
    version: runtime version reported by the tool. command: reproduces the measurement.
    """

    tool: str
    version: str
    command: str
    median_ms: float
    p90_ms: float | None
    mean_call_ms: float
    calls: int


class VendorTool(Protocol):
    """A vendor's tool, ready to run. what: what its time includes, relative to `Runner.infer`."""

    tool: str
    what: str

    def turn(self, seconds: float) -> VendorTimes:
        """Runs the tool in its own process for `seconds` (rounded up to whole seconds, at least one) and waits for it.

        It reloads the model each time, so its turns can alternate with those of our engines.

        Raises:
            RuntimeUnavailable: the tool fails, hangs or prints unexpected output.
        """


def run_tool(command: Sequence[str], seconds: float, env: Mapping[str, str] | None = None) -> str:
    """Returns the tool's stdout and stderr. seconds: how long it measures. env: replaces this process's environment.

    Raises:
        RuntimeUnavailable: it can't be started, fails or does not exit.
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
        raise tool_failed(command, f"still running after {error.timeout:g} s") from error
    if done.returncode != 0:
        raise tool_failed(command, f"exit code {done.returncode}; {_last_output(done.stdout)}")
    return done.stdout


def find_in(output: str, pattern: str, command: Sequence[str]) -> re.Match[str]:
    """First match of `pattern`, in which `^` matches at line starts.

    Raises:
        RuntimeUnavailable: no match.
    """
    found = re.search(pattern, output, re.MULTILINE)
    if found is None:
        raise tool_failed(command, f"no match for {pattern!r} in its output; {_last_output(output)}")
    return found


def tool_failed(command: Sequence[str], reason: str) -> RuntimeUnavailable:
    """The error for a tool without a result."""
    return RuntimeUnavailable(
        f"{command[0]}: {reason}",
        expected="the latency in the tool's output",
        next_step=f"{shlex.join(command)}  (shows its full output)",
    )


def _last_output(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    # An error is often followed by advice or a traceback.
    errors = [line for line in lines if re.search(r"\[ ?(E|ERROR) ?\]|^\w*(Error|Exception)\b", line)]
    return f"last output: {(errors or lines)[-1]}" if lines else "no output"
