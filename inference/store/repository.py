"""The folder of bundles: which models and versions are on disk. The models in memory are `serving.engine.registry`'s.

`<root>/<name>/<version>/` with an integer version, which is also a Triton model repository. Other forms are
`inference.store.layout`'s. A root that is itself a model's folder, or a version's, is a repository of that model.
"""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from inference.errors import ModelNotFound
from inference.folder import Listing, fingerprint, listing, said_of, shown, version_named
from inference.manifest import NAME_PATTERN
from inference.store.bundle import Bundle
from inference.store.layout import Fault, ModelFolder, check_name, fault_of_file, is_alias, read_model
from inference.store.located import Located, said_in
from inference.triton.config import VersionPolicy


@dataclass(frozen=True, slots=True)
class Sight:
    """All that one look at the folder has found."""

    versions: dict[str, dict[int, Located]] = field(default_factory=dict)
    """By model and version; a version is in it before anything in it was opened."""
    faults: tuple[Fault, ...] = ()
    policies: dict[str, VersionPolicy] = field(default_factory=dict)
    """By model, where its `config.pbtxt` says which versions it wants served."""
    unreadable: frozenset[str] = frozenset()
    """Models whose folder is there and could not be read, so that its content is unknown."""
    root: tuple[int, int] = (0, 0)
    """Device and inode of the folder itself: another one has been mounted where they differ."""


@dataclass(frozen=True, slots=True)
class ModelRepository:
    """A folder that is read afresh at every call, since a training may publish at any time."""

    root: Path

    def look(self) -> Sight:
        """Everything that is there; `OSError` where the folder itself cannot be read, which costs nobody a version."""
        found = listing(self.root)
        told = self.root.stat()
        models, faults, unreadable = self._models(found)
        strange = any(version_named(name) is None for name in unreadable)
        if not strange and (own := self._own(models)):
            models, faults, unreadable = [own], [], set()
        faults += [fault for model in models for fault in model.faults]
        return Sight(
            versions={model.name: dict(sorted(model.versions.items())) for model in models if model.versions},
            faults=tuple(replace(fault, seen=fingerprint(fault.path, depth=2)) for fault in faults),
            policies={model.name: model.policy for model in models if model.policy},
            unreadable=frozenset(unreadable),
            root=(told.st_dev, told.st_ino),
        )

    def names(self) -> list[str]:
        """Every model that has at least one version, sorted."""
        try:
            return sorted(self.look().versions)
        except OSError:
            return []

    def versions(self, name: str) -> list[int]:
        """The versions of a model, ascending; empty if it is not there.

        A folder without a manifest and without a graph is not a version: it may be a bundle that is being
        written, whose manifest comes last.
        """
        return sorted(self._located(name))

    def locate(self, name: str, version: int | None = None) -> Located:
        """A version where it lies, by default the newest. `ModelNotFound` otherwise."""
        versions = self._located(name)
        expected = version if version is not None else max(versions, default=None)
        if expected is None or expected not in versions:
            raise ModelNotFound(name, version)
        return versions[expected]

    def path(self, name: str, version: int | None = None) -> Path:
        """The folder of a version, by default the newest. `ModelNotFound` otherwise."""
        return self.locate(name, version).path

    def open(self, name: str, version: int | None = None) -> Bundle:
        """Open a bundle, by default the newest version's."""
        return Bundle.open(self.locate(name, version))

    def _located(self, name: str) -> dict[int, Located]:
        if not re.match(NAME_PATTERN, name):
            return {}
        try:
            return self.look().versions.get(name, {})
        except OSError:
            return {}

    def _models(self, found: Listing) -> tuple[list[ModelFolder], list[Fault], set[str]]:
        models: list[ModelFolder] = []
        unreadable: set[str] = set()
        faults = [
            fault for name in (*found.files, *found.special) if (fault := fault_of_file(self.root / name))
        ]
        faults += [self._fault(name, "it is a link that leads nowhere") for name in found.broken]
        for name in found.folders:
            try:
                models.append(check_name(read_model(name, self.root / name)))
            except Exception as error:  # whatever is the matter with one must not hide the others
                said = said_of(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
                unreadable.add(name)
                faults.append(self._fault(name, f"it cannot be read: {shown(said)}"))
        return models, faults, unreadable

    def _fault(self, name: str, reason: str) -> Fault:
        return Fault(shown(name), "", reason, self.root / name)

    def _own(self, models: list[ModelFolder]) -> ModelFolder | None:
        """The one model whose own folder, or whose version's, this is; None where it is a folder of models.

        Folders named as versions with a graph directly in them are a model's versions, unless a model by
        another name lies beside them.
        """
        known = self.root.absolute() if self.root.name not in ("", "..") else self.root.resolve()
        numbered = [
            model
            for model in models
            if version_named(model.name) is not None and (model.flat or not model.versions)
        ]
        others = [model for model in models if model not in numbered and not is_alias(model.path, self.root)]
        if any(model.meant for model in others) and not any(_is_of(model, known.name) for model in numbered):
            return None
        own = read_model(known.name, self.root)
        if own.flat:
            own = self._named(own, known)
        return check_name(own) if own.versions else None

    def _named(self, own: ModelFolder, known: Path) -> ModelFolder:
        """A root that is itself the folder of one version: its name is the folder's, or the manifest's."""
        (located,) = own.versions.values()
        name, version = own.name, located.version
        if located.graph_file is None:
            name, version = said_in(self.root) or (name, version)
        elif (number := version_named(known.name)) is not None:
            name, version = known.parent.name, number
        versions = {version: replace(located, name=name, version=version)}
        return ModelFolder(name, self.root, versions, own.faults, own.policy)


def _is_of(version: ModelFolder, name: str) -> bool:
    """Whether a folder named as a version has a manifest of that model."""
    said = said_in(version.path)
    return said is not None and said[0] == name
