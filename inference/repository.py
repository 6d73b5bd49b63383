"""The folder of bundles: which models and versions are on disk. What is in memory is `serving.registry`'s.

`<root>/<name>/<version>/` with an integer version, which is also a Triton model repository;
`<root>/<name>/model.onnx`, without a version folder, is taken as version 1.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from inference.bundle import GRAPH_FILE, MANIFEST_FILE, Bundle
from inference.errors import ModelNotFound
from inference.manifest import NAME_PATTERN
from inference.triton_config import Outline, VersionPolicy, outline


@dataclass(frozen=True, slots=True)
class ModelRepository:
    """A folder that is read afresh at every call, since a training may publish at any time."""

    root: Path

    def names(self) -> list[str]:
        """Every model that has at least one version, sorted."""
        if not self.root.is_dir():
            return []
        return sorted(
            entry.name
            for entry in self.root.iterdir()
            if entry.is_dir() and re.match(NAME_PATTERN, entry.name) and self.versions(entry.name)
        )

    def versions(self, name: str) -> list[int]:
        """The versions of a model, ascending; empty if it is not there.

        A folder without a manifest and without a graph is not a version: it may be a bundle that is being
        written, whose manifest comes last.
        """
        folder = self.root / name
        if not re.match(NAME_PATTERN, name) or not folder.is_dir():
            return []
        said = outline(folder)
        found = [
            int(entry.name) for entry in folder.iterdir() if entry.name.isdigit() and _is_version(entry, said)
        ]
        if not found and (folder / (said.graph_file or GRAPH_FILE)).is_file():
            return [1]
        return sorted(version for version in found if version > 0)

    def policy(self, name: str) -> VersionPolicy | None:
        """Which versions the model's `config.pbtxt` wants served; None where it does not say."""
        return outline(self.root / name).version_policy

    def path(self, name: str, version: int | None = None) -> Path:
        """The folder of a version, by default the newest. `ModelNotFound` otherwise."""
        versions = self.versions(name)
        wanted = version if version is not None else max(versions, default=None)
        if wanted is None or wanted not in versions:
            raise ModelNotFound(name, version)
        folder = self.root / name / str(wanted)
        return folder if folder.is_dir() else self.root / name

    def open(self, name: str, version: int | None = None) -> Bundle:
        """Open a bundle, by default the newest version's."""
        return Bundle.open(self.path(name, version))


def _is_version(folder: Path, said: Outline) -> bool:
    if said.faulty:  # whatever is in it: it is refused with the reason, and an ensemble has no files at all
        return folder.is_dir()
    return (folder / MANIFEST_FILE).is_file() or (folder / (said.graph_file or GRAPH_FILE)).is_file()
