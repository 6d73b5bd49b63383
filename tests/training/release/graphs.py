"""A classifier of digits as a file, built in milliseconds: PyTorch's exporter takes seconds."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from training.release.export import OPSET


def linear_classifier(path: Path) -> Path:
    """image uint8 [n, 8, 8, 1] → probabilities and logits float32 [n, 10], with random weights."""
    draw = np.random.default_rng(0)
    weights: dict[str, np.ndarray] = {
        "flat": np.array([-1, 64], np.int64),
        "first": draw.normal(0, 0.02, (64, 32)).astype(np.float32),
        "second": draw.normal(0, 0.3, (32, 10)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["pixels", "flat"], ["rows"]),
        helper.make_node("MatMul", ["rows", "first"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("MatMul", ["active", "second"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 8, 8, 1])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 10])
        for name in ("probabilities", "logits")
    ]
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "digits", [image], outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.save(model, path)
    return path
