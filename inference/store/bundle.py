"""A bundle on disk: `models/<name>/<version>/`, opened only if it is exactly what was published.

Every listed file is there, unchanged; no other file is there; and no path leaves the folder. A folder that holds only
a graph somebody else made is opened too, with a manifest derived from the graph.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from inference.errors import DigestMismatch, FileMissing, FileUnknown, ManifestInvalid, PathOutside, counted
from inference.folder import passed_over, read_file, shown
from inference.manifest import FileRecord, Graph, Manifest, TensorSpec
from inference.options import Precision
from inference.runtime.session import OrtSession, SessionOptions
from inference.store.derived import derive_manifest, existing_graph
from inference.store.graph_file import GraphFile
from inference.store.located import MANIFEST_FILE, Located
from inference.triton.config import TritonConfig
from inference.triton.reading import read_config
from inference.triton.tensors import ClientView, bounded, client_view


@dataclass(frozen=True, slots=True)
class Bundle:
    """A folder and its manifest. Files are read through `read`, which checks them again at that moment."""

    path: Path
    manifest: Manifest
    derived: bool = False
    session: OrtSession | None = None
    """Of a derived one: the session that its manifest was read from, so that it need not be made again."""
    ops: frozenset[str] = frozenset()
    """Of a derived one: the operators of its graph."""
    config: TritonConfig | None = None
    """Triton's `config.pbtxt` beside it; `manifest` is bounded by it already."""

    @classmethod
    def open(cls, path: Path | Located, options: SessionOptions = SessionOptions()) -> "Bundle":
        """Open and check everything that needs no session; raises one of `BundleRefused`'s kinds.

        A bare graph has to be loaded to be read, which `options` are for. Cheap checks come first, since a bundle that
        is being copied is opened again and again.
        """
        located = path if isinstance(path, Located) else Located.at(path)
        config = read_config(located.path)
        if located.graph_file is not None:
            return cls._derive(located, (config and config.graph_file) or located.graph_file, options, config)
        manifest = _read_manifest(located.path)
        bundle = cls(located.path, manifest)
        if (manifest.name, manifest.version) != (located.name, located.version):
            actual, expected = f"{manifest.name}/{manifest.version}", f"{located.name}/{located.version}"
            raise ManifestInvalid(located.path, f"it is for {actual}, expected {expected}")
        _refuse_unlisted(located.path, manifest)
        for name in manifest.files:
            bundle._check_size(name)
        for name in manifest.files:
            bundle.check(name)
        return bundle.configured(config)

    @classmethod
    def _derive(
        cls, located: Located, graph_file: str, options: SessionOptions, config: TritonConfig | None
    ) -> "Bundle":
        graph = existing_graph(located.path, graph_file)
        session = OrtSession(graph, located.path, options)
        found = GraphFile.read(graph)  # which ONNX Runtime has just read
        manifest = derive_manifest(located, graph_file, session, found)
        bundle = cls(located.path, manifest, derived=True, session=session, ops=frozenset(found.ops))
        return bundle.configured(config)

    def configured(self, config: TritonConfig | None) -> "Bundle":
        """The same under a `config.pbtxt`; `ConfigInvalid` where that does not fit."""
        if config is None:
            return self
        manifest = bounded(config, self.manifest, self.path, derived=self.derived)
        return replace(self, manifest=manifest, config=config)

    def client_view(self) -> ClientView:
        """The model as clients see it, which `config.pbtxt` may make another than the graph."""
        return client_view(self.config, self.manifest)

    def _check_size(self, name: str) -> None:
        record, path = self._record(name), self._locate(name)
        self._compare(name, record, path.stat().st_size)

    def check(self, name: str) -> None:
        """A listed file against its digest, whatever its size: it is not held in memory."""
        record, path = self._record(name), self._locate(name)
        with path.open("rb") as file:
            self._compare(name, record, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())

    def read(self, name: str) -> bytes:
        """The bytes of a listed file, checked against their digest."""
        record, data = self._record(name), read_file(self._locate(name))
        self._compare(name, record, len(data), hashlib.sha256(data).hexdigest())
        return data

    def _record(self, name: str) -> FileRecord:
        record = self.manifest.files.get(name)
        if record is None:
            raise FileUnknown(self.path, f"{name} is not listed in {MANIFEST_FILE}")
        return record

    def _compare(self, name: str, record: FileRecord, size: int, sha256: str | None = None) -> None:
        """`sha256` None: only the size is known yet."""
        if size != record.size:
            raise DigestMismatch(self.path, f"{name} has {counted(size, 'byte')}, expected {record.size}")
        if sha256 is not None and sha256 != record.sha256:
            raise DigestMismatch(self.path, f"{name} has sha256 {sha256}, expected {record.sha256}")

    def read_json(self, name: str) -> Any:
        """A listed file parsed as JSON."""
        try:
            return json.loads(self.read(name))
        except ValueError as error:
            raise ManifestInvalid(self.path, f"{name} is not JSON: {error}") from error

    def graph(self, precision: Precision | None = None) -> Graph:
        """The graph of that precision, by default the one that the manifest says to serve."""
        expected = precision or self.manifest.serve
        if expected not in self.manifest.graphs:
            raise FileMissing(self.path, f"no graph in {expected}, it has {sorted(self.manifest.graphs)}")
        return self.manifest.graphs[expected]

    def graph_source(self, precision: Precision | None = None) -> bytes | Path:
        """The source of a session: checked bytes, or a bare graph's path, since it may keep weights beside it."""
        name = self.graph(precision).file
        return self.path / name if self.derived else self.read(name)

    def output(self, name: str) -> TensorSpec:
        """The output tensor of that name."""
        for spec in self.manifest.outputs:
            if spec.name == name:
                return spec
        raise ManifestInvalid(self.path, f"outputs: got no tensor named {name}, which its processor needs")

    def _locate(self, name: str) -> Path:
        file = self.path / name
        try:
            inside = file.resolve().is_relative_to(self.path.resolve())
        except (OSError, RuntimeError) as error:  # Python 3.13 made one of the other
            raise FileMissing(self.path, f"{name} is a link that leads nowhere") from error
        if not inside:
            raise PathOutside(self.path, f"{name} leads to {file.resolve()}")
        if not file.is_file():
            raise FileMissing(self.path, f"{name} is listed in {MANIFEST_FILE} and is not there")
        return file


def file_record(data: bytes) -> FileRecord:
    """Digest and size as a manifest lists them."""
    return FileRecord(sha256=hashlib.sha256(data).hexdigest(), size=len(data))


def _read_manifest(path: Path) -> Manifest:
    try:
        text = read_file(path / MANIFEST_FILE)
    except FileNotFoundError as error:
        raise FileMissing(
            path, f"{MANIFEST_FILE} is not there, without which its other files are no bundle"
        ) from error
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        kind = PathOutside if any("inside the bundle" in fault for fault in faults) else ManifestInvalid
        raise kind(path, f"{MANIFEST_FILE}: {'; '.join(faults)}") from error


def _refuse_unlisted(path: Path, manifest: Manifest) -> None:
    found = {file.relative_to(path) for file in path.rglob("*") if not file.is_dir()}
    there = {file.as_posix() for file in found if not any(map(passed_over, file.parts))}
    unlisted = sorted(there - manifest.files.keys() - {MANIFEST_FILE})
    if unlisted:
        raise FileUnknown(path, f"{shown(', '.join(unlisted))} not listed in {MANIFEST_FILE}")
