#!/usr/bin/env bash
# Indices of MaxPool: the ONNX reference evaluator and ONNX Runtime name different places.
#
# With: onnx 1.23.2 (ReferenceEvaluator), onnxruntime 1.32.0, numpy 2.4.6, Python 3.11.
# Expected: the second output holds, for each maximum, its index in the flattened input; taking the
#   input at these indices gives the first output. That is what the text says and what MaxUnpool needs.
# Seen: for two rows of two channels of 2x2 the evaluator says 6 four times; the maxima lie at 3, 7,
#   11 and 15, as ONNX Runtime says. The pooled values are right in both.
# Source: https://onnx.ai/onnx/operators/onnx__MaxPool.html
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
    [helper.make_node("MaxPool", ["x"], ["y", "where"], kernel_shape=[2, 2])],
    "pool",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 2, 2, 2])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 2, 1, 1]),
     helper.make_tensor_value_info("where", TensorProto.INT64, [2, 2, 1, 1])],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

x = np.arange(1, 17, dtype=np.float32).reshape(2, 2, 2, 2)
for name, run in (("ONNX Runtime", session.run), ("reference", ReferenceEvaluator(model).run)):
    y, where = run(None, {"x": x})
    points = np.array_equal(x.ravel()[where.ravel()], y.ravel())
    print(f"{name}: maxima {y.ravel()}, indices {where.ravel()}, the input there {x.ravel()[where.ravel()]}")
    assert np.array_equal(y.ravel(), [4, 8, 12, 16])
    assert points == (name == "ONNX Runtime"), "the evaluator's indices point at the maxima now"
PYTHON
