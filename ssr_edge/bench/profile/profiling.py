"""Profiles engines in their workers, and measures the machine's peaks in a separate worker."""

from __future__ import annotations

from collections.abc import Sequence

from ssr_edge.bench.measure.process import WorkerError, WorkerProcess, Workers
from ssr_edge.bench.profile.layers import Profile
from ssr_edge.bench.profile.peaks import Peaks


def profile_engines(workers: Workers, engines: Sequence[str], calls: int) -> tuple[dict[str, Profile], dict[str, str]]:
    """Profiles of the engines whose workers still run, and the failures by engine.

    Must come last, after `finish`: the worker opens its engine a second time, which raises its peak memory, and a
    worker that fails exits. Failures here do not count as failures of the benchmark.
    """
    profiles: dict[str, Profile] = {}
    reasons: dict[str, str] = {}
    for name in engines:
        if name not in workers.running:
            continue
        try:
            reply = workers.running[name].ask({"do": "profile", "calls": calls})
        except WorkerError as error:
            reasons[name] = str(error)
        else:
            profiles[name] = Profile.from_json(reply)
    return profiles, reasons


def measure_peaks_apart(seconds: float = 1.5) -> Peaks:
    """`measure_peaks` in its own process, like the engines; all other workers must be idle.

    Raises:
        WorkerError: OpenVINO is missing or failed.
    """
    worker = WorkerProcess()
    try:
        return Peaks(**worker.ask({"do": "peaks", "seconds": seconds}))
    finally:
        worker.close()
