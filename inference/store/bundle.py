"""A bundle on disk: `models/<name>/<version>/`, opened only if it is exactly what was published.

Every listed file is there, unchanged; no other file is there; and no path leaves the folder. A folder that holds only
a graph somebody else made is opened too, with a manifest derived from the graph.
"""

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

from inference.configs import Record
from inference.errors import (
    DigestMismatch,
    FileMissing,
    FileUnknown,
    ManifestInvalid,
    SignatureInvalid,
    counted,
)
from inference.folder import UnfitFile, open_regular, passed_over, read_regular, shown
from inference.manifest import FileRecord, Graph, Manifest, TensorSpec
from inference.options import Precision
from inference.runtime.session import OrtSession, SessionOptions
from inference.store.derived import derive_manifest, existing_graph
from inference.store.documents import MOST_BYTES, read_document, read_lines
from inference.store.located import MANIFEST_FILE, MOST_MANIFEST_BYTES, Located
from inference.store.signatures import SIGNATURE_FILE, Signer, Trust
from inference.store.weights import Unchanged, graph_facts, inside, weights_beside
from inference.triton.config import TritonConfig
from inference.triton.reading import config_file, read_config
from inference.triton.tensors import ClientView, bounded, client_view

_Document = TypeVar("_Document", bound=Record)

_MOST_NAMED = 10  # unlisted files


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
    signer: Signer | None = None
    """Whose signature of the manifest was verified; None where nobody asked for one."""
    loaded: Unchanged | None = None
    """Of a derived one: the files that its session was made of, as they were then."""

    @classmethod
    def open(
        cls,
        path: Path | Located,
        options: SessionOptions = SessionOptions(),
        trust: Trust | None = None,
    ) -> "Bundle":
        """Open and check everything that needs no session; raises one of `BundleRefused`'s kinds.

        A bare graph has to be loaded to be read, which `options` are for. With `trust` only a bundle that one of its
        keys has signed is opened. Cheap checks come first, since a bundle that is being copied is opened again and
        again.
        """
        located = path if isinstance(path, Located) else Located.at(path)
        if trust is not None:
            _refuse_unsigned(located)
        config = read_config(located.path)
        if located.graph_file is not None:
            return cls._derive(located, (config and config.graph_file) or located.graph_file, options, config)
        data = _manifest_bytes(located.path)
        signer = None if trust is None else trust.signer(located.path, data)
        bundle = cls(located.path, read_document(Manifest, data, located.path, MANIFEST_FILE), signer=signer)
        manifest = bundle.manifest
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
        path = located.path
        graph = existing_graph(path, graph_file)
        found = graph_facts(graph, path, graph_file)
        loaded = Unchanged(path, [graph_file, *weights_beside(found, path, graph_file)])
        session = OrtSession(graph, path, options)
        manifest = derive_manifest(located, graph_file, session, found)
        loaded.check()
        ops = frozenset(found.ops)
        bundle = cls(path, manifest, derived=True, session=session, ops=ops, loaded=loaded)
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
        with self._opened(name, path) as file:
            self._compare(name, record, os.fstat(file.fileno()).st_size)

    def check(self, name: str) -> None:
        """A listed file against its digest, whatever its size: it is not held in memory."""
        record, path = self._record(name), self._locate(name)
        with self._opened(name, path) as file:
            size = os.fstat(file.fileno()).st_size
            self._compare(name, record, size, hashlib.file_digest(file, "sha256").hexdigest())

    def read(self, name: str, most: int | None = None) -> bytes:
        """The bytes of a listed file, `most` of them at most, checked against their digest."""
        record, path = self._record(name), self._locate(name)
        if most is not None and record.size > most:
            raise ManifestInvalid(
                self.path, f"files.{name}.size: got {record.size} bytes, expected at most {most}"
            )
        with self._opened(name, path) as file:
            data = file.read(record.size + 1)
        self._compare(name, record, len(data), hashlib.sha256(data).hexdigest())
        return data

    def read_document(self, kind: type[_Document], name: str) -> _Document:
        """A listed JSON file as a record; `ManifestInvalid` names the file and the field."""
        return read_document(kind, self.read(name, MOST_BYTES), self.path, name)

    def read_lines(self, name: str) -> tuple[str, ...]:
        """A listed JSON file that is a list of strings."""
        return read_lines(self.read(name, MOST_BYTES), self.path, name)

    @contextmanager
    def _opened(self, name: str, path: Path) -> Iterator[io.BufferedReader]:
        try:
            with open_regular(path) as file:
                yield file
        except FileNotFoundError as error:
            raise FileMissing(self.path, f"{name} is listed in {MANIFEST_FILE} and is not there") from error
        except UnfitFile as error:
            raise FileMissing(self.path, f"{name}: {error}") from error

    def _record(self, name: str) -> FileRecord:
        record = self.manifest.files.get(name)
        if record is None:
            raise FileUnknown(self.path, f"{shown(name)} is not listed in {MANIFEST_FILE}")
        return record

    def _compare(self, name: str, record: FileRecord, size: int, sha256: str | None = None) -> None:
        """`sha256` None: only the size is known yet."""
        if size != record.size:
            raise DigestMismatch(self.path, f"{name} has {counted(size, 'byte')}, expected {record.size}")
        if sha256 is not None and sha256 != record.sha256:
            raise DigestMismatch(self.path, f"{name} has sha256 {sha256}, expected {record.sha256}")

    def graph(self, precision: Precision | None = None) -> Graph:
        """The graph of that precision, by default the one that the manifest says to serve."""
        expected = precision or self.manifest.serve
        if expected not in self.manifest.graphs:
            raise FileMissing(self.path, f"no graph in {expected}, it has {sorted(self.manifest.graphs)}")
        return self.manifest.graphs[expected]

    def load(
        self, precision: Precision | None = None, options: SessionOptions = SessionOptions()
    ) -> OrtSession:
        """A session of that graph: of checked bytes, or of files that were checked and lay unchanged meanwhile.

        ONNX Runtime opens weights beside a graph by their names, and looks for those of mere bytes in the working
        folder.
        """
        name = self.graph(precision).file
        if self.loaded is not None:
            session = OrtSession(self.path / name, self.path, options)
            self.loaded.check()
            return session
        data = self.read(name)
        beside = weights_beside(graph_facts(data, self.path, name), self.path, name)
        if not beside:
            return OrtSession(data, self.path, options)
        loaded = Unchanged(self.path, [name, *beside])
        for file in (name, *beside):
            self.check(file)
        session = OrtSession(self.path / name, self.path, options)
        loaded.check()
        return session

    def output(self, name: str) -> TensorSpec:
        """The output tensor of that name."""
        for spec in self.manifest.outputs:
            if spec.name == name:
                return spec
        raise ManifestInvalid(self.path, f"outputs: got no tensor named {name}, which its processor needs")

    def columns(self, name: str) -> int:
        """The length of a row of an output [batch, columns]; `ManifestInvalid` where it has another rank."""
        shape = self.output(name).shape
        if len(shape) != 2 or shape[1] < 1:
            raise ManifestInvalid(
                self.path, f"outputs.{name}.shape: got {list(shape)}, expected [-1, columns]"
            )
        return shape[1]

    def _locate(self, name: str) -> Path:
        return inside(self.path, name, f"{name} is listed in {MANIFEST_FILE}")


def file_record(data: bytes) -> FileRecord:
    """Digest and size as a manifest lists them."""
    return FileRecord(sha256=hashlib.sha256(data).hexdigest(), size=len(data))


def _manifest_bytes(path: Path) -> bytes:
    try:
        return read_regular(path / MANIFEST_FILE, MOST_MANIFEST_BYTES)
    except FileNotFoundError as error:
        raise FileMissing(
            path, f"{MANIFEST_FILE} is not there, without which its other files are no bundle"
        ) from error
    except UnfitFile as error:
        raise ManifestInvalid(path, f"{MANIFEST_FILE}: {error}") from error


def _refuse_unsigned(located: Located) -> None:
    """What no signature speaks for: a graph alone, and a `config.pbtxt`, which changes answers and their labels."""
    if located.graph_file is not None:
        raise SignatureInvalid(
            located.path,
            f"it has no {MANIFEST_FILE} that could be signed, expected one signed by a trusted key",
        )
    config = config_file(located.path)
    if os.path.lexists(config):
        raise SignatureInvalid(
            located.path, f"got a {config.name} beside it, which nobody signs, expected none with --trust"
        )


def _refuse_unlisted(path: Path, manifest: Manifest) -> None:
    """Refuse files, links and folders that the manifest does not know.

    Only folders of listed files are entered, also behind links, so that it ends.
    """
    files = {*manifest.files, MANIFEST_FILE, SIGNATURE_FILE}
    folders = {parent.as_posix() for name in manifest.files for parent in PurePosixPath(name).parents}
    unlisted: list[str] = []
    for folder in sorted(folders):
        here = path if folder == "." else inside(path, folder, folder)
        if not here.is_dir():
            continue  # the missing file is named
        for name, kind in _entries(here):
            known_as = name if folder == "." else f"{folder}/{name}"
            if known_as not in (folders if kind == "/" else files):
                unlisted.append(known_as + kind)
                if len(unlisted) > _MOST_NAMED:
                    break
    if unlisted:
        more = " and more" if len(unlisted) > _MOST_NAMED else ""
        raise FileUnknown(
            path, f"{shown(', '.join(unlisted[:_MOST_NAMED]))}{more} not listed in {MANIFEST_FILE}"
        )


def _entries(folder: Path) -> Iterator[tuple[str, str]]:
    """The names in a folder that are not passed over, with "/" behind those of folders and of links to one."""
    with os.scandir(folder) as found:
        for entry in sorted(found, key=lambda each: each.name):
            if not passed_over(entry.name):
                yield entry.name, "/" if _is_folder(entry) else ""


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link whose way cannot be gone
        return False
