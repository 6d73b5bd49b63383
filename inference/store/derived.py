"""The manifest of a graph that somebody else made: derived from the graph, where no manifest lies beside it."""

import hashlib
from pathlib import Path

from pydantic import ValidationError

from inference.configs import TensorConfig
from inference.errors import FileMissing, GraphInvalid
from inference.folder import UnfitFile, open_regular, shown
from inference.manifest import FileRecord, Graph, Manifest, TensorSpec
from inference.runtime.session import OrtSession
from inference.store.graph_file import GraphFile
from inference.store.located import MANIFEST_FILE, Located

# A graph of somebody else's that takes batches is given this limit; Triton's own default is 4, which starves it. The
# server measures which size pays below it.
DERIVED_MAX_BATCH_SIZE = 64

# Files that are found in the place of a graph, by their first bytes.
_NO_GRAPHS = {
    b"version https://git-lfs": "a pointer of Git LFS, expected the graph that it stands for: `git lfs pull`",
    b"<": "a page of the web or XML, expected an ONNX graph: was it downloaded from its own address?",
    b"PK\x03\x04": "a zip file, such as PyTorch's own, expected an ONNX graph",
}


def derive_manifest(located: Located, graph_file: str, session: OrtSession, found: GraphFile) -> Manifest:
    if not session.inputs:
        raise GraphInvalid(located.path, "the graph has no inputs, so there is nothing to ask it")
    inputs = tuple(
        spec.model_copy(update={"shape": (-1,), "any_shape": True}) if spec.name in found.rankless else spec
        for spec in session.inputs
    )
    specs = (*inputs, *session.outputs)
    batches = all(spec.shape[:1] == (-1,) and not spec.any_shape for spec in specs)
    try:
        return _manifest(
            located, graph_file, session, found, inputs, max_batch_size=DERIVED_MAX_BATCH_SIZE * batches
        )
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(map(str, fault["loc"]))
        raise GraphInvalid(located.path, f"{shown(graph_file)}: {field}: {fault['msg']}") from error


def _manifest(
    located: Located,
    graph_file: str,
    session: OrtSession,
    found: GraphFile,
    inputs: tuple[TensorSpec, ...],
    max_batch_size: int,
) -> Manifest:
    return Manifest(
        name=located.name,
        version=located.version,
        task="tensor",
        description="a graph served as it was found",
        architecture="unknown",
        created=None,
        inputs=inputs,
        outputs=session.outputs,
        max_batch_size=max_batch_size,
        processor=TensorConfig(kind="tensor"),
        graphs={found.precision: Graph(file=graph_file)},
        serve=found.precision,
        files={graph_file: _record_of(located.path / graph_file)},
    )


def existing_graph(path: Path, graph_file: str) -> Path:
    """A graph's file, unless it is obviously something else, of which ONNX Runtime only says that it is no graph."""
    graph = path / graph_file
    try:
        with open_regular(graph) as file:
            begins = file.read(64)
    except FileNotFoundError as error:
        raise FileMissing(path, f"it has neither {MANIFEST_FILE} nor {graph_file}") from error
    except UnfitFile as error:
        raise GraphInvalid(path, f"{shown(graph_file)}: {error}") from error
    if not begins:
        raise GraphInvalid(path, f"{shown(graph_file)}: got an empty file, expected an ONNX graph")
    for start, what in _NO_GRAPHS.items():
        if begins.startswith(start):
            raise GraphInvalid(path, f"{shown(graph_file)}: got {what}")
    return graph


def _record_of(path: Path) -> FileRecord:
    """The same for a file, without holding it in memory."""
    with open_regular(path) as file:
        return FileRecord(sha256=hashlib.file_digest(file, "sha256").hexdigest(), size=path.stat().st_size)
