"""Graphs to measure with where no other model is given: seeded, made in milliseconds.

They need onnx, which comes with `baton[training]`.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TINY = (64, 64, 10)
"""The widths of the peers' `tiny`."""
HEAVY = (64, *[1024] * 65, 10)
"""67 million multiplications a row, some milliseconds: so HTTP and the load generator are not the limit."""


def write_mlp(models: Path, name: str, widths: Sequence[int]) -> None:
    """A multi-layer perceptron x [batch, first] → y [batch, last] as a bare model that the server takes."""
    generator = np.random.default_rng(7)
    nodes, last = [], "x"
    weights: dict[
        str, onnx.TensorProto
    ] = {}  # layers of one shape share theirs, so that the file stays small
    for place, (wide, narrow) in enumerate(pairwise(widths)):
        weight, bias, end = f"w{wide}x{narrow}", f"b{narrow}", place == len(widths) - 2
        if weight not in weights:
            # He's scale: through many layers values neither vanish (denormal numbers are slow) nor grow.
            matrix = generator.standard_normal((wide, narrow)) * np.sqrt(2 / wide)
            weights[weight] = numpy_helper.from_array(matrix.astype(np.float32), weight)
        weights.setdefault(bias, numpy_helper.from_array(np.zeros(narrow, np.float32), bias))
        nodes.append(helper.make_node("Gemm", [last, weight, bias], ["y" if end else f"h{place}"]))
        if not end:
            nodes.append(helper.make_node("Relu", [f"h{place}"], [f"r{place}"]))
        last = f"r{place}"
    ends = [("x", widths[0]), ("y", widths[-1])]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", width]) for n, width in ends)
    graph = helper.make_graph(nodes, name, [x], [y], list(weights.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    folder = models / name / "1"
    folder.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
