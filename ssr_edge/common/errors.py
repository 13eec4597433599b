"""Every error a user can meet, in one tree; the command line prints its three parts and exits with its code.

SsrEdgeError              1  any other error
├── UsageError            2  arguments that make no sense together or name nothing
├── InputError            3  one image that can't be classified: costs that image, never the run
├── OutputError           1  results that can't be written any further
├── DataError             1  a data set, index or split that can't be used
├── TrainingError         1  a training run that can't go on
├── CheckpointError       1  a checkpoint that is missing, damaged or of another kind
├── BundleError           1  a bundle that is missing, changed since it was written, or of another schema
├── RuntimeUnavailable    1  a package, driver or device that this machine lacks
├── ServerError           1  a server of models that can't be reached, serves something else, or answers no more
├── ExportError           1  a network that can't be folded, written as ONNX or calibrated within its limits
├── BuildError            1  an ONNX file that a runtime's parser or builder refuses
├── GateRefused           4  an engine that was built but is worse than its limit
└── Regression            5  a benchmark that is worse than an older one by more than its limit
"""

from __future__ import annotations


class SsrEdgeError(Exception):
    """Base of the tree: says what was found, what was expected and the next command to type."""

    exit_code = 1

    def __init__(self, found: str, *, expected: str, next_step: str) -> None:
        super().__init__(found)
        self.found = found
        self.expected = expected
        self.next_step = next_step

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross from one process to another, and pickle knows nothing of arguments that have to be named.
        return _again, (type(self), self.found, self.expected, self.next_step)

    def __str__(self) -> str:
        return f"{self.found}\n  expected: {self.expected}\n  next: {self.next_step}"


def _again(kind: type[SsrEdgeError], found: str, expected: str, next_step: str) -> SsrEdgeError:
    return kind(found, expected=expected, next_step=next_step)


class UsageError(SsrEdgeError):
    """Arguments that make no sense together or name nothing."""

    exit_code = 2


class InputError(SsrEdgeError):
    """One image that can't be classified."""

    exit_code = 3


class OutputError(SsrEdgeError):
    """Results that can't be written any further."""


class DataError(SsrEdgeError):
    """A data set, index or split that can't be used."""


class TrainingError(SsrEdgeError):
    """A training run that can't go on."""


class CheckpointError(SsrEdgeError):
    """A checkpoint that is missing, damaged or of another kind."""


class BundleError(SsrEdgeError):
    """A bundle that is missing, changed since it was written, or of another schema."""


class RuntimeUnavailable(SsrEdgeError):
    """A package, driver or device that this machine lacks."""


class ServerError(SsrEdgeError):
    """A server of models that can't be reached, serves something else, or answers no more."""


class ExportError(SsrEdgeError):
    """A network that can't be folded, written as ONNX or calibrated within its limits."""


class BuildError(SsrEdgeError):
    """An ONNX file that a runtime's parser or builder refuses."""


class GateRefused(SsrEdgeError):
    """An engine that was built but is worse than its limit."""

    exit_code = 4


class Regression(SsrEdgeError):
    """A benchmark that is worse than an older one by more than its limit."""

    exit_code = 5
