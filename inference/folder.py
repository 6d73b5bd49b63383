"""Folders as people and copiers leave them: names that count, the content, its fingerprint, and reading a file.

A file is opened here only to be read. The meaning of the names is `inference.store.layout`'s, that of the files'
content `inference.store.bundle`'s.
"""

import contextlib
import io
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Temporary files of copiers (rsync: .model.onnx.Xa12 and .~tmp~, rclone: .partial, WinSCP: .filepart, gsutil: .gstmp,
# MinIO: .part.minio). A projected volume's ..data. Litter of file systems, desktops and editors.
_PASSED_OVER = re.compile(
    r"\..*|~.*|.*~"
    r"|.*\.(part|partial|filepart|tmp|temp|crdownload|download|gstmp|aria2|swp|part\.minio)"
    r"|lost\+found|__macosx|__pycache__|@eadir|\$recycle\.bin|system volume information|thumbs\.db|desktop\.ini",
    re.IGNORECASE | re.DOTALL,
)

# 18 digits, as in a request's path: no larger number is one that every client can say.
_VERSION = re.compile(r"[vV]?0*([1-9][0-9]{0,17})")

SPECIAL = "a pipe, a socket or a device, expected a file"

# A look must end, whatever somebody has put there: a photo collection, or a link that leads around in a circle.
_DEPTH, _ENTRIES = 8, 4000


def passed_over(name: str) -> bool:
    """Whether a file or folder of that name is nobody's model: a copier's temporary one, hidden, or litter."""
    return _PASSED_OVER.fullmatch(name) is not None


def version_named(name: str) -> int | None:
    """The version that a folder's name stands for: `3`, `003` and `v3` are 3; None where it is no number above 0."""
    found = _VERSION.fullmatch(name)
    return None if found is None else int(found[1])


def shown(name: str) -> str:
    """A name or a message as it may be logged and sent: file systems take bytes that are no text, and line breaks."""
    return "".join(
        each if each.isprintable() else " " if each.isspace() else "\N{REPLACEMENT CHARACTER}"
        for each in name
    )


def said_of(error: OSError) -> str:
    """The system's own words, without the path on this machine, which an index would show to clients."""
    name = f": {shown(Path(error.filename).name)}" if isinstance(error.filename, str) else ""
    return f"{error.strerror or type(error).__name__}{name}"


class UnfitFile(ValueError):
    """Something that cannot be read whole: no regular file, or more bytes than its kind has."""


@contextlib.contextmanager
def open_regular(path: Path) -> Iterator[io.BufferedReader]:
    """A file to be read; `UnfitFile` where it is a pipe, a device or a folder, `OSError` where it cannot be opened.

    A pipe would keep its reader waiting for a writer, and a device such as /dev/zero never ends.
    """
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(opened).st_mode
    if not stat.S_ISREG(mode):
        os.close(opened)
        raise UnfitFile(f"got {_kind_of(mode)}, expected a file")
    with open(opened, "rb") as file:  # noqa: PTH123 - by its descriptor
        yield file


def read_regular(path: Path, most: int) -> bytes:
    """The bytes of a file of `most` bytes at most; `UnfitFile`, `OSError`."""
    with open_regular(path) as file:
        data = file.read(most + 1)
        if len(data) > most:
            size = max(len(data), os.fstat(file.fileno()).st_size)
            raise UnfitFile(f"got {size} bytes, expected at most {most}")
        return data


def _kind_of(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


class Listing(NamedTuple):
    """The entries directly in a folder that are not passed over, each kind sorted by name."""

    folders: list[str]
    files: list[str]
    broken: list[str]
    """Links that lead nowhere."""
    special: list[str]
    """Pipes, sockets and devices: to read one may never end."""


def listing(folder: Path) -> Listing:
    """List a folder; links count as their targets. `OSError` where it cannot be read."""
    found = Listing([], [], [], [])
    with os.scandir(folder) as entries:
        for entry in entries:
            if not passed_over(entry.name):
                _kind(entry, found).append(entry.name)
    for names in found:
        names.sort()
    return found


def _kind(entry: "os.DirEntry[str]", found: Listing) -> list[str]:
    try:
        if entry.is_dir():
            return found.folders
        if entry.is_file():
            return found.files
        return found.broken if entry.is_symlink() and not os.path.exists(entry.path) else found.special  # noqa: PTH110
    except OSError:  # a link whose way cannot be gone, such as one to itself
        return found.broken


class FileState(NamedTuple):
    """Changes when a file is written, replaced or made readable; a folder's name ends with a slash."""

    name: str
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @property
    def counts(self) -> bool:
        """Whether it is a file that no copier is at work on."""
        return not self.name.endswith("/") and not any(map(passed_over, self.name.split("/")))


Fingerprint = tuple[FileState, ...]


def fingerprint(path: Path, depth: int = _DEPTH) -> Fingerprint:
    """The states of all files in a folder and below, or of one file; temporary and unreadable ones too.

    It never raises, and folders behind links are not walked, so that it ends. `depth` 0: only its direct entries.
    """
    seen: list[FileState] = []
    for state in _states(path, "", depth):
        seen.append(state)
        if len(seen) >= _ENTRIES:
            break
    return tuple(sorted(seen))


def states_of(*files: Path) -> tuple[FileState | None, ...]:
    """Changes when a file is written, replaced or made readable, also behind a link; None for one that is not there."""
    return tuple(_state_of(file) for file in files)


def _state_of(file: Path) -> FileState | None:
    try:
        return _state(file.name, file.stat())
    except OSError:
        return None


def _state(name: str, told: os.stat_result) -> FileState:
    return FileState(name, told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns)


def _states(folder: Path, within: str, depth: int) -> Iterator[FileState]:
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except OSError as error:
        yield FileState(within, 0, -(error.errno or 1), 0, 0)
        with contextlib.suppress(OSError):
            yield _state(within, folder.lstat())  # it is a file, or its mode may change
        return
    for entry in found:
        name = within + entry.name
        try:
            told, is_folder = entry.stat(), entry.is_dir()
        except OSError:
            yield FileState(name, 0, -1, 0, 0)
            continue
        yield _state(name + "/" * is_folder, told)
        if is_folder and not entry.is_symlink() and depth:
            yield from _states(Path(entry.path), f"{name}/", depth - 1)
