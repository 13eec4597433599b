"""What made a file of results: kept beside it, so that nobody goes on with another bundle or engine."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ssr_edge.bundle.bundle import MANIFEST, Bundle
from ssr_edge.common.errors import UsageError
from ssr_edge.common.files import replacing, sha256_of
from ssr_edge.runners.base import Runner


class RunRecord(BaseModel):
    """`predictions.run.json`. bundle: SHA-256 of its manifest, which holds the hash of every other file.

    engine: runtime and precision. version: of the runtime. Of a run on a server: its model, version and address; the
    bundle is null where none was named.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: str | None
    engine: str
    version: str
    device: str

    @staticmethod
    def of(bundle: Bundle | None, runner: Runner) -> RunRecord:
        """What a run with these makes its results with."""
        return RunRecord(
            bundle=None if bundle is None else sha256_of(bundle.path / MANIFEST),
            engine=runner.name,
            version=runner.version,
            device=runner.device,
        )

    def write(self, path: Path) -> None:
        """Keeps it in a file."""
        with replacing(path) as temporary:
            temporary.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def check_is(self, path: Path) -> None:
        """Makes sure that the results beside `path` were made by the same.

        Raises:
            UsageError: they were not, or the file can't say.
        """
        try:
            earlier = RunRecord.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise _refused(f"{path} does not say what made the results so far", "the file as it was written") from error
        for name, ours in self:
            theirs = getattr(earlier, name)
            if theirs != ours:
                raise _refused(f"{path}: the results so far are of {name} {theirs}, this run has {ours}", f"{theirs}")


def _refused(found: str, expected: str) -> UsageError:
    return UsageError(
        found,
        expected=expected + "; results of two engines do not stand in one file",
        next_step="ssr-edge infer SOURCE -o OTHER.csv  (begins anew)",
    )
