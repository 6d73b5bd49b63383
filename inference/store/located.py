"""A version of a model where it lies: the folder, and the name and number that it has there.

No graph is opened here, and of a manifest only the name and the version are read.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from inference.folder import Fingerprint, Listing, fingerprint, listing, read_file, version_named

MANIFEST_FILE = "manifest.json"

GRAPH_FILE = "model.onnx"

GOLDEN_FILE = "golden.json"


@dataclass(frozen=True, slots=True)
class Located:
    """A version where it lies: its name there, which its path need not say, and its graph."""

    name: str
    version: int
    path: Path
    """The folder with its files."""
    graph_file: str | None = None
    """The graph of a folder without a manifest; None where there is a manifest, which says it."""

    @classmethod
    def at(cls, path: Path) -> "Located":
        """The meaning of a folder that stands alone: `NAME/VERSION`, or `NAME`; raises nothing."""
        known = path.absolute()
        version = version_named(known.name)
        try:
            found = listing(path)
        except OSError:
            found = Listing([], [], [], [])
        graph = None if MANIFEST_FILE in found.files else graph_in(found) or GRAPH_FILE
        if version is not None:
            return cls(known.parent.name, version, path, graph)
        name, version = (graph is None and said_in(path)) or (known.name, 1)
        return cls(name, version, path, graph)

    def files(self) -> Fingerprint:
        """The states of its files, and of those that lie beside the versions' folders for all of them."""
        beside = fingerprint(self.path.parent, depth=0) if version_named(self.path.name) is not None else ()
        return (*fingerprint(self.path), *(state for state in beside if state.counts))


def graph_in(found: Listing) -> str | None:
    """The graph of a folder without a manifest: `model.onnx`, or the one file of another name that is ONNX."""
    if GRAPH_FILE in found.files:
        return GRAPH_FILE
    graphs = [name for name in found.files if name.lower().endswith(".onnx")]
    return graphs[0] if len(graphs) == 1 else None


def said_in(path: Path) -> tuple[str, int] | None:
    """The name and version in a folder's manifest; None where it cannot say, which opening it will tell."""
    try:
        content = json.loads(read_file(path / MANIFEST_FILE))
        name, version = content["name"], content["version"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return (name, version) if isinstance(name, str) and type(version) is int and version > 0 else None
