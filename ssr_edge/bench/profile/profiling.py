"""Asks workers where their engines' time goes, and one of its own for the machine's peaks."""

from __future__ import annotations

from collections.abc import Sequence

from ssr_edge.bench.measure.process import WorkerError, WorkerProcess, Workers
from ssr_edge.bench.profile.layers import Profile
from ssr_edge.bench.profile.peaks import Peaks


def profile_engines(workers: Workers, engines: Sequence[str], calls: int) -> tuple[dict[str, Profile], dict[str, str]]:
    """The profile of each engine whose worker still runs, and the reasons of those that can't be profiled, by engine.

    The last thing to ask of a worker, after its last words: the engine is opened a second time in it, which its peak
    memory would show, and a worker that fails ends. A failure here is none of the benchmark's.
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
    """As `measure_peaks`, in a process of its own, as engines are measured; all others should sleep meanwhile.

    Raises:
        WorkerError: OpenVINO is missing or failed.
    """
    worker = WorkerProcess()
    try:
        return Peaks(**worker.ask({"do": "peaks", "seconds": seconds}))
    finally:
        worker.close()
