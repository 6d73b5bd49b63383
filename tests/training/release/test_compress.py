"""A pruned model is accepted inside its budget alone."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from training.config import load_config
from training.fit.train import FitResult
from training.release.compress import inside_budget, sparsity


def scored(score: float) -> FitResult:
    return FitResult("accuracy", score, epochs=1, steps=1, parameters=1, seconds=1.0)


@pytest.mark.parametrize(
    ("mode", "dense", "pruned", "accepted"),
    [
        ("max", 0.9, 0.896, True),
        ("max", 0.9, 0.894, False),
        ("max", 0.9, 0.95, True),
        ("min", 0.2, 0.204, True),
        ("min", 0.2, 0.206, False),
    ],
)
def test_a_loss_is_in_points_and_in_the_direction_of_the_metric(
    mode: str, dense: float, pruned: float, accepted: bool
) -> None:
    config = load_config("vision", ("--data", "digits", "--arch", "mlp", "--prune-budget", "0.5"))
    assert inside_budget(config, mode, scored(dense), scored(pruned)) is accepted


def test_sparsity_counts_weights_and_neither_biases_nor_integers_nor_the_outlier_score(
    tmp_path: Path,
) -> None:
    arrays: dict[str, np.ndarray] = {
        "weight": np.array([[0, 1], [0, 2]], np.float32),
        "bias": np.zeros(9, np.float32),
        "shape": np.zeros((3, 3), np.int64),
        "score": np.ones((9, 9), np.float32),
    }
    initializers = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    nodes = [
        helper.make_node("Concat", ["weight", "bias", "shape"], ["logits"], axis=0),
        helper.make_node("Identity", ["score"], ["outlier_score"]),
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("logits", "outlier_score")
    ]
    graph = helper.make_graph(nodes, "g", [], outputs, initializers)
    onnx.save(helper.make_model(graph), tmp_path / "model.onnx")
    assert sparsity(tmp_path / "model.onnx") == 0.5
