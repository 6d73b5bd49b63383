#!/usr/bin/env bash
# The ONNX reference evaluator normalises as many channels in LRN as the batch has rows.
#
# With: onnx 1.23.2 (ReferenceEvaluator), onnxruntime 1.32.0, numpy 2.4.6, Python 3.11.
# Expected: LRN divides every element by a power of the sum over neighbouring channels; the evaluator,
#   which is the yardstick for other runtimes, gives what the operator's text says.
# Seen: with one row of four channels only channel 0 is normalised; channels 1, 2 and 3 come back as
#   they went in. With a batch of four rows the same four channels are right. ONNX Runtime is right in
#   both: a graph "proved" against the evaluator fails or passes with the size of the batch.
# Source: https://onnx.ai/onnx/operators/onnx__LRN.html
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

graph = helper.make_graph(
    [helper.make_node("LRN", ["x"], ["y"], size=3, alpha=1.0, beta=0.5, bias=1.0)],
    "lrn",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4, 1, 1])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 4, 1, 1])],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def by_hand(x):
    squares = np.pad(x**2, ((0, 0), (1, 1), (0, 0), (0, 0)))
    near = squares[:, :-2] + squares[:, 1:-1] + squares[:, 2:]
    return x / (1 + near / 3) ** 0.5


row = np.array([1, 2, 3, 4], np.float32).reshape(1, 4, 1, 1)
for rows in (1, 4):
    x = np.repeat(row, rows, axis=0)
    reference = ReferenceEvaluator(model).run(None, {"x": x})[0]
    runtime = session.run(None, {"x": x})[0]
    print(f"batch of {rows}: reference {reference[0].ravel()}, ONNX Runtime {runtime[0].ravel()}")
    assert np.allclose(runtime, by_hand(x), atol=1e-5)
    right = np.allclose(reference, by_hand(x), atol=1e-5)
    assert right == (rows == 4), "the evaluator normalises all channels now"
    if rows == 1:
        assert np.array_equal(reference[0, 1:], x[0, 1:])
PYTHON
