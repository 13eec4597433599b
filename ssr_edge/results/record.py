"""The record of a run's bundle and engine, so that a run is not resumed with different ones."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ssr_edge.bundle.bundle import MANIFEST, Bundle
from ssr_edge.common.errors import UsageError
from ssr_edge.common.files import replacing, sha256_of
from ssr_edge.runners.base import Runner


class RunRecord(BaseModel):
    """Content of `predictions.run.json`.

    bundle: SHA-256 of its manifest, which contains the hash of every other file. engine: runtime and precision.
    version: version of the runtime. device: where it runs. For a run on a server, these are the model, its version and
    the server's address, and bundle is null if none was given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: str | None
    engine: str
    version: str
    device: str

    @staticmethod
    def of(bundle: Bundle | None, runner: Runner) -> RunRecord:
        """The record of a run with this bundle and runner."""
        return RunRecord(
            bundle=None if bundle is None else sha256_of(bundle.path / MANIFEST),
            engine=runner.name,
            version=runner.version,
            device=runner.device,
        )

    def write(self, path: Path) -> None:
        """Writes the record to a file."""
        with replacing(path) as temporary:
            temporary.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def check_is(self, path: Path) -> None:
        """Checks that the record in the file `path` equals this one.

        Raises:
            UsageError: the two differ, or the file can't be read.
        """
        try:
            earlier = RunRecord.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise _refused(f"{path} is missing or damaged", "the file that the earlier run wrote") from error
        for name, ours in self:
            theirs = getattr(earlier, name)
            if theirs != ours:
                raise _refused(f"{path}: the earlier results have {name} {theirs}, this run has {ours}", f"{theirs}")


def _refused(found: str, expected: str) -> UsageError:
    return UsageError(
        found,
        expected=expected + "; a file must not mix the results of two engines",
        next_step="ssr-edge infer SOURCE -o OTHER.csv  (starts a new run)",
    )
