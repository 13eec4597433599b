"""All errors a user can meet, in one tree. The command line prints an error's three parts and exits with its code.

SsrEdgeError              1  any other error
├── UsageError            2  arguments that conflict, are invalid, or name something that doesn't exist
├── InputError            3  one image that can't be classified; it is listed and the run continues
├── OutputError           1  results that can no longer be written
├── DataError             1  a data set, index or split that can't be used
├── TrainingError         1  a training run that can't continue
├── CheckpointError       1  a checkpoint that is missing, damaged or of another kind
├── BundleError           1  a bundle that is missing, changed since it was written, or of another schema version
├── RuntimeUnavailable    1  a package, driver or device that this machine lacks
├── ServerError           1  a model server that can't be reached, serves another model, or stopped responding
├── ExportError           1  a network that can't be folded, exported to ONNX or calibrated within its limits
├── BuildError            1  an ONNX file that a runtime's parser or builder rejects
├── GateRefused           4  an engine that was built but failed the accuracy gate
└── Regression            5  a benchmark result that is worse than an earlier one by more than its limit
"""

from __future__ import annotations


class SsrEdgeError(Exception):
    """Base class. An error has three parts.

    found: what is wrong. expected: what would have been accepted. next_step: the next command to type.
    """

    exit_code = 1

    def __init__(self, found: str, *, expected: str, next_step: str) -> None:
        super().__init__(found)
        self.found = found
        self.expected = expected
        self.next_step = next_step

    def __reduce__(self) -> tuple[object, ...]:
        # Errors are sent between processes, and pickle can't pass keyword-only arguments to a constructor.
        return _again, (type(self), self.found, self.expected, self.next_step)

    def __str__(self) -> str:
        return f"{self.found}\n  expected: {self.expected}\n  next: {self.next_step}"


def _again(kind: type[SsrEdgeError], found: str, expected: str, next_step: str) -> SsrEdgeError:
    return kind(found, expected=expected, next_step=next_step)


class UsageError(SsrEdgeError):
    """Arguments that conflict, are invalid, or name something that doesn't exist."""

    exit_code = 2


class InputError(SsrEdgeError):
    """One image that can't be classified."""

    exit_code = 3


class OutputError(SsrEdgeError):
    """Results that can no longer be written."""


class DataError(SsrEdgeError):
    """A data set, index or split that can't be used."""


class TrainingError(SsrEdgeError):
    """A training run that can't continue."""


class CheckpointError(SsrEdgeError):
    """A checkpoint that is missing, damaged or of another kind."""


class BundleError(SsrEdgeError):
    """A bundle that is missing, changed since it was written, or of another schema version."""


class RuntimeUnavailable(SsrEdgeError):
    """A package, driver or device that this machine lacks."""


class ServerError(SsrEdgeError):
    """A model server that can't be reached, serves another model, or stopped responding."""


class ExportError(SsrEdgeError):
    """A network that can't be folded, exported to ONNX or calibrated within its limits."""


class BuildError(SsrEdgeError):
    """An ONNX file that a runtime's parser or builder rejects."""


class GateRefused(SsrEdgeError):
    """An engine that was built but failed the accuracy gate."""

    exit_code = 4


class Regression(SsrEdgeError):
    """A benchmark result that is worse than an earlier one by more than its limit."""

    exit_code = 5
