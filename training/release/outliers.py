"""The outlier score of a quantized graph: its nodes stay in float32, and its scale is measured again.

Quantized layers give features that lie a little apart from those that the score was measured on. Its threshold is the
same number in every graph of a bundle, so the graph itself brings the score back to it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import ModelProto, helper, numpy_helper

from inference.runtime.session import OrtSession
from training.architectures.outliers import OUTLIER_OUTPUT
from training.data.examples import EVALUATION_BATCH, Loader, as_arrays
from training.evaluate.outliers import scale_of
from training.tasks.base import Task, TaskData

UNSCALED = f"{OUTLIER_OUTPUT}_unscaled"


def nodes_of_the_score(model: ModelProto) -> list[str]:
    """The named nodes that only the outlier score needs; none in a graph without it."""
    outputs = [output.name for output in model.graph.output]
    if OUTLIER_OUTPUT not in outputs:
        return []
    score = ancestors(model.graph, [OUTLIER_OUTPUT])
    answer = ancestors(model.graph, [name for name in outputs if name != OUTLIER_OUTPUT])
    return sorted(
        node.name
        for node in model.graph.node
        if node.name and score.intersection(node.output) and answer.isdisjoint(node.output)
    )


def ancestors(graph: onnx.GraphProto, outputs: Sequence[str]) -> set[str]:
    """The names of all values that some outputs are computed from. Nodes stand in the order of their runs."""
    needed = set(outputs)
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
    return needed


def rescale_outliers(graph: Path, task: Task, data: TaskData[Any]) -> None:
    """Shift and scale the graph's score so that validation's median is 0 and its threshold 1, as in fp32's graph."""
    model = onnx.load(graph)
    if OUTLIER_OUTPUT not in [output.name for output in model.graph.output]:
        return
    session = OrtSession(graph.read_bytes(), graph)
    scores = [
        session.run(as_arrays(task.inputs(batch)))[OUTLIER_OUTPUT][:, 0]
        for batch in Loader(data.validation, EVALUATION_BATCH, seed=0, training=False)
    ]
    middle, spread = scale_of(torch.from_numpy(np.concatenate(scores)).double())
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [UNSCALED if name == OUTLIER_OUTPUT else name for name in names]
    constants = {f"{OUTLIER_OUTPUT}_middle": middle, f"{OUTLIER_OUTPUT}_spread": spread}
    for name, value in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
    shifted = f"{OUTLIER_OUTPUT}_shifted"
    model.graph.node.extend(
        [
            helper.make_node("Sub", [UNSCALED, f"{OUTLIER_OUTPUT}_middle"], [shifted]),
            helper.make_node("Div", [shifted, f"{OUTLIER_OUTPUT}_spread"], [OUTLIER_OUTPUT]),
        ]
    )
    onnx.save(model, graph)
