"""Bundles and graphs built in milliseconds, real in every part but their size."""

import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from inference.configs import ImageConfig
from inference.manifest import Evaluation, Graph, Manifest, TensorSpec
from inference.predictor import Predictor
from inference.processors.classification import LABELS_FILE
from inference.processors.image import ImageProcessor
from inference.proving.golden import Example, Golden, Tolerance
from inference.runtime.session import OrtSession
from inference.store.bundle import file_record
from inference.store.located import GOLDEN_FILE, GRAPH_FILE, MANIFEST_FILE
from inference.store.reference import REFERENCE_FILE, Reference
from inference.store.repository import ModelRepository
from inference.values import Array, DataType, Payload

MODELS = Path(__file__).parent.parent / "models"
"""The shipped bundles."""

SIDE = 4
LABELS = ("dark", "bright")
CONFIG = ImageConfig(
    kind="image", height=SIDE, width=SIDE, mode="L", fit="stretch", interpolation="bilinear",
    background=0, max_pixels=1_000_000,
)  # fmt: skip

EVALUATION = Evaluation(split="test", rows=4, metrics={"accuracy": 1.0})


def shipped(name: str) -> Path:
    """The newest version of a shipped model."""
    repository = ModelRepository(MODELS)
    return repository.path(name, max(repository.versions(name)))


def graph_bytes(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: dict[str, Array],
) -> bytes:
    """A checked graph, serialised."""
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(list(nodes), "test", list(inputs), list(outputs), initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def brightness_graph() -> bytes:
    """uint8 [batch, 4, 4, 1] → probabilities and logits [batch, 2]: dark or bright."""
    nodes = [
        helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["real", "scale"], ["scaled"]),
        helper.make_node("ReduceMean", ["scaled"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Gemm", ["mean", "weight", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    weights: dict[str, Array] = {
        "scale": np.array(255, np.float32),
        "weight": np.array([[-8, 8]], np.float32),
        "bias": np.array([4, -4], np.float32),
    }
    outputs = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 2]) for n in ("probabilities", "logits")
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 1])
    return graph_bytes(nodes, [image], outputs, weights)


def sum_graph() -> bytes:
    """Two inputs x and y, float32 [batch, 3] → total = x + y."""
    nodes = [helper.make_node("Add", ["x", "y"], ["total"])]
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 3]) for n in ("x", "y", "total")]
    return graph_bytes(nodes, infos[:2], infos[2:], {})


def png(level: int, size: tuple[int, int] = (SIDE, SIDE)) -> bytes:
    """A PNG of one grey level."""
    buffer = io.BytesIO()
    Image.new("L", size, level).save(buffer, "PNG")
    return buffer.getvalue()


def write_bare(root: Path, name: str, graph: bytes, version: int | None = 1) -> Path:
    """A folder with only a graph in it, with or without a version folder."""
    folder = root / name if version is None else root / name / str(version)
    folder.mkdir(parents=True)
    (folder / GRAPH_FILE).write_bytes(graph)
    return folder


def write_brightness(root: Path, name: str = "brightness", version: int = 1) -> Path:
    """A whole vision bundle: graph, labels, golden examples and the manifest over them."""
    folder = root / name / str(version)
    (folder / "golden").mkdir(parents=True)
    graph = brightness_graph()
    session, processor = OrtSession(graph, folder), ImageProcessor(CONFIG)
    files, examples = {GRAPH_FILE: graph, LABELS_FILE: json.dumps(LABELS).encode()}, []
    for place, level in enumerate((0, 90, 160, 255)):
        file = f"golden/{place}.png"
        files[file] = png(level)
        row = processor.preprocess(processor.decode(Payload(files[file], "image/png"))).tensors
        outputs = {key: array[0].tolist() for key, array in session.run(row).items()}
        examples.append(Example(file=file, media_type="image/png", outputs=outputs))
    golden = Golden(tolerances={"fp32": Tolerance(atol=1e-5, rtol=1e-4)}, examples=tuple(examples))
    files[GOLDEN_FILE] = golden.model_dump_json().encode()
    for path, data in files.items():
        (folder / path).write_bytes(data)
    manifest = Manifest(
        name=name,
        version=version,
        task="vision",
        description="dark or bright",
        architecture="mean",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        inputs=(TensorSpec(name="image", datatype=DataType.UINT8, shape=(-1, SIDE, SIDE, 1)),),
        outputs=session.outputs,
        max_batch_size=16,
        processor=CONFIG,
        graphs={"fp32": Graph(file=GRAPH_FILE, evaluation=EVALUATION)},
        serve="fp32",
        files={path: file_record(data) for path, data in files.items()},
    )
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2))
    return folder


def with_reference(folder: Path, content: dict[str, Any]) -> Path:
    """Put a reference into a bundle, and its record into the manifest."""
    data = json.dumps(content).encode()
    (folder / REFERENCE_FILE).write_bytes(data)
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    manifest["files"][REFERENCE_FILE] = file_record(data).model_dump()
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    return folder


def levels(rng: np.random.Generator, rows: int) -> list[int]:
    """Grey levels of mostly dark images."""
    found: list[int] = rng.binomial(255, rng.beta(2, 5, rows)).tolist()
    return found


def write_watched(root: Path) -> Path:
    """A vision bundle with the reference of a thousand dark images."""
    folder = write_brightness(root)
    predictor = Predictor.open(folder)
    payloads = [Payload(png(level), "image/png") for level in levels(np.random.default_rng(1), 1000)]
    summaries = [predictor.processor.summarise(*exchange) for exchange in predictor.exchanges(payloads)]
    summary = {name: np.concatenate([each[name] for each in summaries]) for name in summaries[0]}
    return with_reference(folder, Reference.of(summary).model_dump(mode="json"))


def edit_json(file: Path, **changes: object) -> None:
    """Change top-level fields of a JSON file in place."""
    content = json.loads(file.read_text())
    content.update(changes)
    file.write_text(json.dumps(content))
