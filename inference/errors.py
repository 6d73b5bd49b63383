"""Every error of ours, as one tree.

    BatonError
    ├── InvalidInput              the client's input is at fault: field, actual, expected
    │   ├── UnsupportedMediaType
    │   └── InputTooLarge
    ├── ModelNotFound
    ├── ModelNotReady
    ├── LoadRefused               the files are refused, and the model answers as before
    ├── Unsupported               understood, and not offered
    ├── Overloaded                try again after `retry_after_s`
    │   ├── LowPriorityFull       of requests of low priority
    │   └── ExplanationsFull
    ├── InflightExceeded          the same, where the bytes held for requests are at their limit
    ├── DeadlineExceeded
    ├── ClientDisconnected
    ├── AccessRefused             the client may not ask this, or not now
    │   ├── Unauthenticated       credentials are missing or wrong
    │   ├── Forbidden
    │   ├── Misdirected           it asks for another server's name
    │   └── LimitExceeded         try again after `retry_after_s`
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
        ├── SignatureInvalid
        ├── GraphInvalid
        └── GoldenMismatch

The HTTP status of each kind stands in the server's table, not here.
"""

from pathlib import Path

from inference.folder import version_named

MISSING = object()
"""Stands in an error for a value that did not come."""

_VALUE_LIMIT = 120  # characters of a value that an error repeats: enough to recognise it, not to leak it


def shorten(value: object) -> str:
    """`repr(value)`, cut to a length that fits an error message."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _VALUE_LIMIT else f"{text[:_VALUE_LIMIT]}…"


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 row`, `2 rows`; `plural` where it is not the noun with an s, as in `2 axes`."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"


class BatonError(Exception):
    """Everything that Baton raises on purpose."""


class InvalidInput(BatonError):
    """The client's input is at fault: the field, the actual value (`MISSING`: none) and the expected one."""

    def __init__(self, field: str, actual: object, expected: str) -> None:
        came = "missing" if actual is MISSING else f"got {shorten(actual)}"
        super().__init__(f"{field}: {came}, expected {expected}")
        self.field, self.actual, self.expected = field, actual, expected


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
        super().__init__(f"model '{name}' is overloaded: {self._full(limit)}, which is its limit")
        self.name, self.limit, self.retry_after_s = name, limit, retry_after_s

    def _full(self, limit: int) -> str:
        return f"its queue holds {counted(limit, 'row')}"


class LowPriorityFull(Overloaded):
    """The queue of low priority is full; predictions are let in by another."""

    def _full(self, limit: int) -> str:
        return f"its queue of low priority holds {counted(limit, 'row')}"


class ExplanationsFull(Overloaded):
    """As many requests for explanations as may be are under way; predictions are let in by another count."""

    def _full(self, limit: int) -> str:
        return f"{counted(limit, 'request')} for explanations under way"


class InflightExceeded(BatonError):
    """The process holds as many bytes for requests as it may; `retry_after_s` is when to come again."""

    retry_after_s = 1.0

    def __init__(self, field: str, size: int, used: int, limit: int) -> None:
        super().__init__(
            f"{field}: the request needs {counted(size, 'byte')}, and there is no room for them now: "
            f"{used} of {limit} bytes are held for requests (--max-inflight-bytes)"
        )
        self.field, self.size, self.limit = field, size, limit


class DeadlineExceeded(BatonError):
    """The request's own deadline passed before it was decoded, or before its batch was run."""

    def __init__(self, name: str, timeout_s: float) -> None:
        super().__init__(f"model '{name}': the deadline of {timeout_s * 1e3:g} ms passed before the answer")
        self.name, self.timeout_s = name, timeout_s


class ClientDisconnected(BatonError):
    """The client closed the connection; nobody reads this answer."""


class AccessRefused(BatonError):
    """The client may not ask this, or not now."""


class Unauthenticated(AccessRefused):
    """Credentials are missing or wrong. `wrong`: some came."""

    def __init__(self, message: str, *, wrong: bool) -> None:
        super().__init__(message)
        self.wrong = wrong


class Forbidden(AccessRefused):
    """Nobody may ask this here, whatever the credentials."""


class Misdirected(AccessRefused):
    """The request is for a host name that is not this server's."""


class LimitExceeded(AccessRefused):
    """Too many requests of one client; `retry_after_s` is when there may be room."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class InferenceFailed(BatonError):
    """ONNX Runtime failed on a batch that had passed every check."""


class RowsChanged(InferenceFailed):
    """A run gave another number of rows than went in, so nobody can say whose they are."""

    def __init__(self, output: str, shape: tuple[int, ...], rows: int) -> None:
        super().__init__(f"output {output}: {counted(rows, 'row')} went in, and shape {list(shape)} came out")


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
    """The manifest cannot be read, or has a field or value that this schema does not know."""


class ConfigInvalid(BundleRefused):
    """The `config.pbtxt` beside it is unreadable, does not fit the graph, or asks for what is not offered."""


class FileMissing(BundleRefused):
    """A file that the manifest lists is not there."""


class FileUnknown(BundleRefused):
    """A file is there that the manifest does not list."""


class DigestMismatch(BundleRefused):
    """A file's bytes are not those that were published."""


class PathOutside(BundleRefused):
    """A path in the manifest or in a graph, or a link, leads out of the bundle."""


class SignatureInvalid(BundleRefused):
    """It is not signed, or not by a key that the server trusts."""


class GraphInvalid(BundleRefused):
    """The graph cannot be loaded, or its tensors are not those of the manifest."""


class GoldenMismatch(BundleRefused):
    """The model loads and does not give the answers that were proved when it was published."""
