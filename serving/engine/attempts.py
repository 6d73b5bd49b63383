"""Versions that were tried and do not serve as they are on disk: refused, or waited for until their files lie still."""

import time
from dataclasses import dataclass

from inference.errors import (
    BatonError,
    DigestMismatch,
    FileMissing,
    FileUnknown,
    GraphInvalid,
    ManifestInvalid,
)
from inference.folder import Fingerprint
from inference.store.located import Located
from serving.engine.served_model import Key

PATIENCE_S = 10.0
"""For which a version that came or changed may lie still and be faulty: a copier pauses between two files too."""

_MAY_BE_INCOMPLETE = (FileMissing, FileUnknown, DigestMismatch, ManifestInvalid, GraphInvalid, OSError)
"""Faults that a copy under way makes too."""


_MAX_PAUSE = 64
"""Looks between two tries of a version whose loading raises what nobody foresaw, such as MemoryError."""


@dataclass(slots=True)
class Refusal:
    """A version that was tried and refused."""

    files: Fingerprint
    """As they were before."""
    reason: str
    pause: int | None
    """Looks between two tries of it as it is, since its fault may mend itself; None: a file has to change."""
    left: int = 0
    """Of the pause."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A version whose files were changing when it was last looked at."""

    files: Fingerprint
    until_still: bool
    """It is opened only when it has stayed as it is from one look to the next; else whenever it has changed."""
    since: float
    """When its files were first seen so, on the monotonic clock."""
    fault: str = ""
    """Why it could not be opened so; empty where it was not tried, or reading it failed."""


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

    def is_due(self, key: Key) -> bool:
        """Whether a refused version is tried again now, though no file of it has changed. Asked once a look."""
        refusal = self._refused[key]
        if refusal.pause is None:
            return False
        refusal.left -= 1
        return refusal.left < 0

    def lies_still(self, key: Key, files: Fingerprint) -> bool:
        """Whether a version is as it was at the last look."""
        before = self._waiting.get(key) or self._refused.get(key)
        return before is not None and before.files == files

    def is_new(self, key: Key, files: Fingerprint) -> bool:
        """Whether a version has been so for a moment only, so that a fault may be that of a copier's pause."""
        waiting = self._waiting.get(key)
        return (
            waiting is not None and waiting.files == files and time.monotonic() < waiting.since + PATIENCE_S
        )

    def fault(self, key: Key) -> str:
        """Of a version that is waited for, why opening it as it is has failed; empty where it was not tried."""
        return self._waiting[key].fault

    def must_lie_still(self, located: Located) -> bool:
        """Whether a version may not be opened while it changes: half a bundle looks like a graph of somebody else's.

        Where there is a manifest, opening it tells whether all files are there; only digests are dear.
        """
        waiting = self._waiting.get((located.name, located.version))
        return located.graph_file is not None or (waiting is not None and waiting.until_still)

    def may_mend(self, error: Exception) -> bool:
        """Whether a fault may be that of a copy under way."""
        return isinstance(error, _MAY_BE_INCOMPLETE)

    def wait(self, key: Key, files: Fingerprint, error: Exception | None = None, fault: str = "") -> None:
        """Its files change, or have changed just now.

        A digest that is wrong costs the reading of all files, so it waits until they lie still.
        """
        before = self._waiting.get(key)
        until_still = isinstance(error, DigestMismatch) or (before is not None and before.until_still)
        since = before.since if before is not None and before.files == files else time.monotonic()
        self._waiting[key] = _Waiting(files, until_still, since, "" if isinstance(error, OSError) else fault)
        self._refused.pop(key, None)

    def refuse(self, key: Key, files: Fingerprint, reason: str, error: Exception) -> None:
        """It is not tried again as it is, unless its fault may mend itself.

        Reading it failed: at every look. Something that is no refusal was raised: after 1, 2, 4, … looks.
        """
        self._waiting.pop(key, None)
        before = self.refusal(key, files)
        if isinstance(error, OSError):
            pause: int | None = 0
        elif isinstance(error, BatonError):
            pause = None
        else:
            pause = min(_MAX_PAUSE, 2 * (before.pause or 0) if before else 1) or 1
        self._refused[key] = Refusal(files, reason, pause, pause or 0)

    def pardon(self, key: Key) -> None:
        """Its files are those that serve."""
        self._refused.pop(key, None)

    def forget(self, key: Key) -> None:
        """It serves, or is gone."""
        self._refused.pop(key, None)
        self._waiting.pop(key, None)
