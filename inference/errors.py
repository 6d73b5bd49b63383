"""What can go wrong, as one tree; what status each kind gets is the server's table, not theirs.

BatonError
├── InvalidInput              the caller's input is at fault: field, value seen, value expected
│   ├── UnsupportedMediaType
│   └── InputTooLarge
├── ModelNotFound
├── ModelNotReady
├── LoadRefused               what is on disk is refused, and what serves goes on serving
├── Unsupported               understood, and not offered
├── Overloaded                try again after `retry_after_s`
├── DeadlineExceeded
├── ClientDisconnected
├── InferenceFailed           the runtime refused a batch
│   └── RowsChanged           a batch came out with other rows than went in
├── ProviderUnavailable       the device asked for is not there
└── BundleRefused             a bundle that must not be served: bundle and reason
    ├── ManifestInvalid
    ├── ConfigInvalid
    ├── FileMissing
    ├── FileUnknown
    ├── DigestMismatch
    ├── PathOutside
    ├── GraphInvalid
    └── GoldenMismatch
"""

from pathlib import Path

from inference.folder import version_named

MISSING = object()
"""What an error has seen of a value that did not come."""

_SEEN_LIMIT = 120  # characters of a value that an error repeats: enough to recognise it, not to leak it


def shorten(value: object) -> str:
    """`repr(value)`, cut to a length that fits an error message."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SEEN_LIMIT else f"{text[:_SEEN_LIMIT]}…"


class BatonError(Exception):
    """Everything that Baton raises on purpose."""


class InvalidInput(BatonError):
    """The caller's input is at fault: names the field, what came (`MISSING`: nothing) and what was expected."""

    def __init__(self, field: str, seen: object, expected: str) -> None:
        came = "missing" if seen is MISSING else f"got {shorten(seen)}"
        super().__init__(f"{field}: {came}, expected {expected}")
        self.field, self.seen, self.expected = field, seen, expected


class UnsupportedMediaType(InvalidInput):
    """A body in a format that this model does not take."""


class InputTooLarge(InvalidInput):
    """A body, an image, a text or a batch over its limit."""


class ModelNotFound(BatonError):
    """No such model, or no such version of it."""

    def __init__(self, name: str, version: int | None = None) -> None:
        known_as = name if version is None else f"{name}' version '{version}"
        super().__init__(f"Request for unknown model: '{shorten(known_as)}' is not found")
        self.name, self.version = name, version


class ModelNotReady(BatonError):
    """The model is known and does not answer now: loading, refused, draining or unloaded."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"model '{name}' is not ready: {reason}")
        self.name, self.reason = name, reason


class LoadRefused(BatonError):
    """A load that changed nothing: the files were found wanting, and the model answers as it did."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"model '{name}' answers as before, since what is on disk is refused: {reason}")
        self.name, self.reason = name, reason


class Unsupported(BatonError):
    """Part of a protocol that is understood and not offered."""


class Overloaded(BatonError):
    """The queue is full; `retry_after_s` is when a place is likely to be free."""

    def __init__(self, name: str, limit: int, retry_after_s: float) -> None:
        super().__init__(f"model '{name}' is overloaded: its queue holds {limit} rows, which is its limit")
        self.name, self.limit, self.retry_after_s = name, limit, retry_after_s


class DeadlineExceeded(BatonError):
    """The request's own deadline passed before its batch was run."""

    def __init__(self, name: str, timeout_s: float) -> None:
        super().__init__(f"model '{name}': the deadline of {timeout_s * 1e3:g} ms passed before the answer")
        self.name, self.timeout_s = name, timeout_s


class ClientDisconnected(BatonError):
    """The caller closed the connection; nobody reads this answer."""


class InferenceFailed(BatonError):
    """ONNX Runtime failed on a batch that had passed every check."""


class RowsChanged(InferenceFailed):
    """A run gave another number of rows than went in, so nobody can say whose they are."""

    def __init__(self, output: str, shape: tuple[int, ...], rows: int) -> None:
        super().__init__(f"output {output}: {rows} rows went in, and shape {list(shape)} came out")


class ProviderUnavailable(BatonError):
    """The execution provider that was asked for cannot run here; there is no silent fall back."""

    def __init__(self, expected: str, available: list[str]) -> None:
        super().__init__(f"device: got '{expected}', expected one of what this build can run: {available}")
        self.expected, self.available = expected, available


class BundleRefused(BatonError):
    """A bundle that must not be served."""

    def __init__(self, bundle: Path, reason: str) -> None:
        known_as = f"{bundle.parent.name}/{bundle.name}" if version_named(bundle.name) else bundle.name
        super().__init__(f"bundle {known_as} refused: {reason}")
        self.bundle, self.reason = bundle, reason


class ManifestInvalid(BundleRefused):
    """The manifest cannot be read, or says what this schema does not know."""


class ConfigInvalid(BundleRefused):
    """The `config.pbtxt` beside it cannot be read, asks for what is not offered, or does not fit the graph."""


class FileMissing(BundleRefused):
    """A file that the manifest lists is not there."""


class FileUnknown(BundleRefused):
    """A file is there that the manifest does not list."""


class DigestMismatch(BundleRefused):
    """A file's bytes are not those that were published."""


class PathOutside(BundleRefused):
    """A path in the manifest leads out of the bundle."""


class GraphInvalid(BundleRefused):
    """The graph cannot be loaded, or its tensors are not those of the manifest."""


class GoldenMismatch(BundleRefused):
    """The model loads and does not give the answers that were proved when it was published."""
