"""The files in which a graph keeps its weights beside it: inside the version's folder, and unchanged while they load.

ONNX Runtime opens them by the names that stand in the graph. Newer versions refuse some that lead outside; older ones,
and graphs inside of nodes, are read from wherever they lead. So they are looked at here, before it sees the graph.
"""

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from inference.errors import DigestMismatch, FileMissing, GraphInvalid, PathOutside, shorten
from inference.folder import UnfitFile, open_regular, said_of, shown
from inference.store.graph_file import GraphFile

_READS_FILES = "EPContext"
"""An operator that has a device open a file of its own, by a name that stands in an attribute."""


def graph_facts(data: bytes | Path, bundle: Path, name: str) -> GraphFile:
    """The facts of the graph in the file `name`; `GraphInvalid` where it is none."""
    try:
        return GraphFile.read(data) if isinstance(data, Path) else GraphFile.of(data)
    except ValueError as error:
        raise GraphInvalid(
            bundle, f"ONNX Runtime cannot load the graph: {shown(name)} is none: {error}"
        ) from error


def weights_beside(found: GraphFile, bundle: Path, graph: str) -> list[str]:
    """The files of a bundle in which its graph keeps weights, sorted; `PathOutside`, `FileMissing`, `GraphInvalid`."""
    if _READS_FILES in found.ops:
        raise GraphInvalid(
            bundle,
            f"{shown(graph)}: got the operator {_READS_FILES}, which reads a file by itself, expected none",
        )
    return sorted({_inside(location, bundle, graph) for location in found.external})


def _inside(location: str, bundle: Path, graph: str) -> str:
    said = f"{shown(graph)} keeps weights in {shown(shorten(repr(location)))}"
    plain = PurePosixPath(location)
    # ONNX Runtime takes a name that begins with "*/" for an address in memory.
    if not location or "\\" in location or not location.isprintable() or location.startswith("*"):
        raise PathOutside(bundle, f"{said}, expected the name of a file in its folder")
    if plain.is_absolute() or ".." in plain.parts:
        raise PathOutside(bundle, f"{said}, expected a relative path inside its folder")
    name = (PurePosixPath(graph).parent / plain).as_posix()
    inside(bundle, name, said)
    try:
        with open_regular(bundle / name):
            return name
    except UnfitFile as error:
        raise FileMissing(bundle, f"{said}: {error}") from error
    except OSError as error:
        raise FileMissing(bundle, f"{said}, which cannot be read: {said_of(error)}") from error


def inside(bundle: Path, name: str, said: str) -> Path:
    """A file of the bundle; `PathOutside` where a link on its way leads out, `FileMissing` where one leads nowhere."""
    file = bundle / name
    try:
        resolved = file.resolve()
        is_inside = resolved.is_relative_to(bundle.resolve())
    except (OSError, RuntimeError) as error:  # Python 3.13 made one of the other
        raise FileMissing(bundle, f"{said}, and is a link that leads nowhere") from error
    if not is_inside:
        raise PathOutside(bundle, f"{said}, and leads out of its folder, to {shown(resolved.name)}")
    return file


class _State(NamedTuple):
    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


class Unchanged:
    """Files that are opened by name behind their check: as they lie now, and still when they were loaded."""

    def __init__(self, bundle: Path, names: Iterable[str]) -> None:
        self._bundle, self._names = bundle, tuple(names)
        self._before = self._states()

    def check(self) -> None:
        """`DigestMismatch` where one of them is another, or was written to."""
        for name, before, now in zip(self._names, self._before, self._states(), strict=True):
            if before != now:
                raise DigestMismatch(self._bundle, f"{shown(name)} was changed while it was loaded")

    def _states(self) -> list[_State | None]:
        return [self._state(name) for name in self._names]

    def _state(self, name: str) -> _State | None:
        try:
            told = os.stat(self._bundle / name)  # noqa: PTH116 - as the session follows links
        except OSError:
            return None
        return _State(told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns)
