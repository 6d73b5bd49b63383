"""Versions that were tried and do not serve as they are on disk: refused, or waited for until their files lie still."""

from dataclasses import dataclass

from inference.errors import DigestMismatch, FileMissing, FileUnknown, ManifestInvalid, SignatureInvalid
from inference.folder import Fingerprint
from inference.store.located import Located
from serving.engine.served_model import Key

_MAY_BE_INCOMPLETE = (FileMissing, FileUnknown, DigestMismatch, ManifestInvalid, SignatureInvalid, OSError)
"""Faults that a copy under way makes too."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A version that was tried and refused."""

    files: Fingerprint
    """As they were before."""
    reason: str
    again: bool
    """It is tried at every look: reading it failed, which may mend itself without a change."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A version whose files were changing when it was last looked at."""

    files: Fingerprint
    until_still: bool
    """It is opened only when it has stayed as it is from one look to the next; else whenever it has changed."""


class Attempts:
    """By version the last attempt that failed; a version has either been refused, or is waited for."""

    def __init__(self) -> None:
        self._refused: dict[Key, Refusal] = {}
        self._waiting: dict[Key, _Waiting] = {}

    def keys(self) -> set[Key]:
        """Of every attempt that is remembered."""
        return {*self._refused, *self._waiting}

    def refused(self) -> list[Key]:
        """Of the refusals alone."""
        return list(self._refused)

    def refusal(self, key: Key, files: Fingerprint) -> Refusal | None:
        """The refusal of just these files."""
        refusal = self._refused.get(key)
        return refusal if refusal is not None and refusal.files == files else None

    def lies_still(self, key: Key, files: Fingerprint) -> bool:
        """Whether a version is as it was at the last look."""
        before = self._waiting.get(key) or self._refused.get(key)
        return before is not None and before.files == files

    def must_lie_still(self, located: Located) -> bool:
        """Whether a version may not be opened while it changes: half a bundle looks like a graph of somebody else's.

        Where there is a manifest, opening it tells whether all files are there; only digests are dear.
        """
        waiting = self._waiting.get((located.name, located.version))
        return located.graph_file is not None or (waiting is not None and waiting.until_still)

    def may_mend(self, error: Exception) -> bool:
        """Whether a fault may be that of a copy under way."""
        return isinstance(error, _MAY_BE_INCOMPLETE)

    def wait(self, key: Key, files: Fingerprint, error: Exception | None = None) -> None:
        """Its files change. A digest that is wrong costs the reading of all files, so it waits until they lie still."""
        before = self._waiting.get(key)
        until_still = isinstance(error, DigestMismatch) or (before is not None and before.until_still)
        self._waiting[key] = _Waiting(files, until_still)
        self._refused.pop(key, None)

    def refuse(self, key: Key, files: Fingerprint, reason: str, error: Exception) -> None:
        """It is not tried again as it is, unless reading it failed."""
        self._waiting.pop(key, None)
        self._refused[key] = Refusal(files, reason, again=isinstance(error, OSError))

    def pardon(self, key: Key) -> None:
        """Its files are those that serve."""
        self._refused.pop(key, None)

    def forget(self, key: Key) -> None:
        """It serves, or is gone."""
        self._refused.pop(key, None)
        self._waiting.pop(key, None)
