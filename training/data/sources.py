"""The files of a public data set on this machine: read from `BATON_DATA` when that is set, else from a cache.

A missing file is downloaded into the cache once. Either way its SHA-256 must be the published one.
"""

import hashlib
import os
import urllib.request
from pathlib import Path

from training.data.public_sets import PublicFile, PublicSet
from training.errors import ChecksumError, DataError

DOWNLOAD_TIMEOUT_S = 60
"""Without a byte from the server; a large file may take longer in all."""


def local_files(public: PublicSet) -> list[Path]:
    """Paths of the set's files, in the order they are declared, every one with the published digest."""
    return [_local_file(public, file) for file in public.files]


def _local_file(public: PublicSet, file: PublicFile) -> Path:
    root = os.environ.get("BATON_DATA")
    path = Path(root) / file.path if root else _cache() / file.path
    if not path.is_file():
        if root:
            raise DataError(f"data set {public.name!r}: {path} is missing; BATON_DATA points at {root}")
        _download(public, file, path)
    _check(path, file.sha256)
    return path


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "baton"


def _download(public: PublicSet, file: PublicFile, path: Path) -> None:
    """Download beside the path and rename, so that a broken download never looks like a file."""
    if file.url is None:
        raise DataError(
            f"data set {public.name!r}: {file.path} has no public address; "
            f"set BATON_DATA to a folder that holds it (see {public.homepage})"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + f".{os.getpid()}.part")
    try:
        # Every address is a constant of this file, and the digest is checked before use.
        with urllib.request.urlopen(file.url, timeout=DOWNLOAD_TIMEOUT_S) as reply:  # noqa: S310
            partial.write_bytes(reply.read())
        _check(partial, file.sha256)
        partial.replace(path)
    except OSError as error:
        raise DataError(f"data set {public.name!r}: cannot download {file.url}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _check(path: Path, expected: str) -> None:
    with path.open("rb") as stream:
        actual = hashlib.file_digest(stream, "sha256").hexdigest()
    if actual != expected:
        raise ChecksumError(
            f"{path}: sha256 is {actual}, the published file has {expected}; delete it and try again"
        )
