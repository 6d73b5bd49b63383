"""The proof finds what is wrong with a graph, and says it by name."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from inference.processors.base import StackingProcessor
from inference.values import Tensors
from training.architectures import vision
from training.architectures.classifier import ClassifierGraph, ImageClassifier
from training.data.examples import as_arrays, seeded
from training.release.export import export
from training.release.verify import (
    AxesDiffer,
    BatchMatters,
    NamesDiffer,
    ShapesDiffer,
    ValuesDiffer,
    prove_company,
    verify,
)

OUTPUTS = ("probabilities", "logits")
ROWS = 20
PIXELS = torch.randint(0, 256, (ROWS, 4, 4, 1), dtype=torch.uint8, generator=seeded(0))


def collate(rows: Sequence[int]) -> dict[str, Tensor]:
    return {"image": PIXELS[list(rows)]}


@pytest.fixture(scope="module")
def graph() -> nn.Module:
    torch.manual_seed(0)
    return ClassifierGraph(ImageClassifier(vision.mlp((1, 4, 4), 3, hidden=(8,)), [0.3], [0.4]), 1.5).eval()


@pytest.fixture(scope="module")
def exported(graph: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    export(graph, collate([0, 1]), OUTPUTS, path)
    return path


def changed(exported: Path, target: Path, change: str) -> Path:
    """A copy of the graph that is broken in one way."""
    model = onnx.load(exported)
    graph = model.graph
    if change == "weight":
        array = onnx.numpy_helper.to_array(graph.initializer[0]).copy()
        array.flat[0] += 0.5
        graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(array, graph.initializer[0].name))
    elif change == "order":
        outputs = [graph.output[1], graph.output[0]]
        del graph.output[:]
        graph.output.extend(outputs)
    elif change == "batch":
        graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    elif change == "shape":
        logits = next(node for node in graph.node if "logits" in node.output)
        logits.output[0] = "own"
        graph.node.append(onnx.helper.make_node("Concat", ["own", "own"], ["logits"], axis=1))
    onnx.save(model, target)
    return target


@pytest.mark.slow
def test_exported_graph_is_what_pytorch_computes(graph: nn.Module, exported: Path) -> None:
    parity = verify(graph, exported, collate, OUTPUTS, ROWS)
    assert parity.max_abs_diff < parity.tolerance
    assert parity.batch_sizes == (1, 2, 3, 7, 16, 64)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ("weight", ValuesDiffer, r"probabilities\[\d+, \d\], batch 1: .* expected .* within 0.0001"),
        ("order", NamesDiffer, r"outputs: the graph has \['logits', 'probabilities'\], expected"),
        ("batch", AxesDiffer, r"image: shape \[1, 4, 4, 1\], expected a dynamic first axis"),
        ("shape", ShapesDiffer, r"probabilities, batch 1: float32 \[1, 6\], expected float32 \[1, 3\]"),
    ],
)
def test_broken_graph_is_refused_by_name(
    graph: nn.Module, exported: Path, tmp_path: Path, change: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        verify(graph, changed(exported, tmp_path / "broken.onnx", change), collate, OUTPUTS, ROWS)


class LooksAtTheBatch(nn.Module):
    """A module whose rows see each other; PyTorch and the graph agree on it, and it must not be served."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        rows = image.flatten(1).float()
        logits = rows - rows.mean(0, keepdim=True)
        return logits.softmax(1), logits


@pytest.fixture(scope="module")
def looking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("looking") / "model.onnx"
    export(LooksAtTheBatch(), collate([0, 1]), OUTPUTS, path)
    return path


@pytest.mark.slow
def test_graph_whose_rows_see_each_other_is_refused(looking: Path) -> None:
    with pytest.raises(BatchMatters, match="alone against batch 2"):
        verify(LooksAtTheBatch(), looking, collate, OUTPUTS, ROWS)


ALONE = [as_arrays(collate([row])) for row in range(8)]
WHITE: list[Tensors] = [{"image": np.full((1, 4, 4, 1), 255, np.uint8)}]


@pytest.mark.slow
def test_rows_of_an_exported_graph_keep_apart(exported: Path) -> None:
    proof = prove_company(exported, ALONE, WHITE, StackingProcessor())
    assert (proof.rows, proof.others, proof.batch_size) == (8, 1, 64)
    assert proof.worst < 1


@pytest.mark.slow
def test_rows_less_the_mean_of_their_batch_are_refused(looking: Path) -> None:
    with pytest.raises(BatchMatters, match=r"changes with its company: .* alone, and .* beside 7 others"):
        prove_company(looking, ALONE, WHITE, StackingProcessor())


class DimsForBrightCompany(nn.Module):
    """What only shows beside a row that is brighter than any other."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        rows = image.flatten(1).float()
        logits = rows / rows.mean(1).amax(0).clamp(min=200)
        return logits.softmax(1), logits


@pytest.mark.slow
def test_a_stranger_shows_what_rows_of_the_data_do_not(tmp_path: Path) -> None:
    export(DimsForBrightCompany(), collate([0, 1]), OUTPUTS, tmp_path / "model.onnx")
    assert prove_company(tmp_path / "model.onnx", ALONE, [], StackingProcessor()).worst == 0
    with pytest.raises(BatchMatters, match="changes with its company"):
        prove_company(tmp_path / "model.onnx", ALONE, WHITE, StackingProcessor())
