"""The score of a quantized graph: which nodes stay in float32, and its scale."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from inference.runtime.session import OrtSession
from training.architectures.classifier import ClassifierGraph
from training.architectures.outliers import OUTLIER_OUTPUT
from training.config import load_config
from training.data.examples import as_arrays
from training.release.export import export
from training.release.outliers import nodes_of_the_score, rescale_outliers
from training.tasks.base import TaskData, outputs_of
from training.tasks.vision import VisionTask

TASK = VisionTask()


@pytest.fixture(scope="module")
def data() -> TaskData[Any]:
    return TASK.load(load_config("vision"))


@pytest.fixture(scope="module")
def deployed(data: Any) -> ClassifierGraph:
    """An untrained network with the features' distance as its score."""
    torch.manual_seed(0)
    config = load_config(
        "vision", ("--arch", "resnet", "--model", '{"widths": [8, 16], "blocks": 1}', "--mirror")
    )
    model = TASK.build(config, data).eval()
    calibrated = TASK.calibrate(model, data, config)
    score, choice = TASK.outliers(model, calibrated, data)
    assert {"energy", "mahalanobis", "layers", "layers and energy", "virtual logit"} == set(choice.candidates)
    graph = TASK.deployed(model, calibrated).eval()
    graph.outliers = score
    return graph


@pytest.fixture(scope="module")
def graph(deployed: ClassifierGraph, data: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    batch = data.validation.batch(torch.arange(2), torch.Generator())
    export(deployed, TASK.inputs(batch), outputs_of(TASK, deployed), path, TASK.axes)
    return path


def scores(path: Path, data: Any) -> np.ndarray:
    batch = data.validation.batch(torch.arange(len(data.validation)), torch.Generator())
    found: np.ndarray = OrtSession(path.read_bytes(), path).run(as_arrays(TASK.inputs(batch)))[OUTLIER_OUTPUT]
    return found


def test_the_graphs_score_is_pytorchs(graph: Path, deployed: ClassifierGraph, data: Any) -> None:
    batch = TASK.inputs(data.validation.batch(torch.arange(len(data.validation)), torch.Generator()))
    with torch.inference_mode():
        expected = deployed(*batch.values())[2]
    np.testing.assert_allclose(scores(graph, data), expected.numpy(), atol=1e-4, rtol=1e-4)
    assert (scores(graph, data) > 1).mean() <= 0.02


def test_nodes_of_the_score_are_those_that_no_answer_needs(graph: Path) -> None:
    model = onnx.load(graph)
    names = nodes_of_the_score(model)
    convolutions = {node.name for node in model.graph.node if node.op_type == "Conv"}
    assert names
    assert not convolutions & set(names)
    del model.graph.output[-1]
    assert nodes_of_the_score(model) == []


def test_nodes_of_the_score_are_found_behind_nodes_without_a_name() -> None:
    """And a node that gives the answer, too, is not the score's."""
    nodes = [
        helper.make_node("Split", ["x"], ["half", "logits"], "both", num_outputs=2),
        helper.make_node("Relu", ["half"], ["first"], "named"),
        helper.make_node("Relu", ["first"], ["second"]),
        helper.make_node("Relu", ["second"], ["third"]),
        helper.make_node("Relu", ["third"], [OUTLIER_OUTPUT], "last"),
    ]
    x, *outputs = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in ("x", "logits", OUTLIER_OUTPUT)
    )
    model = helper.make_model(helper.make_graph(nodes, "g", [x], outputs))
    assert nodes_of_the_score(model) == ["last", "named"]


def test_the_threshold_of_a_graph_whose_features_moved_is_one_again(
    graph: Path, data: Any, tmp_path: Path
) -> None:
    model, moved = onnx.load(graph), tmp_path / "moved.onnx"
    head = next(one for one in model.graph.initializer if one.name.endswith("outliers.centre"))
    head.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(head) + 1, head.name))
    onnx.save(model, moved)
    assert abs(np.median(scores(moved, data))) > 0.1
    rescale_outliers(moved, TASK, data)
    assert np.median(scores(moved, data)) == pytest.approx(0, abs=1e-3)
    assert (scores(moved, data) > 1).mean() == pytest.approx(0.01, abs=0.01)
