#!/usr/bin/env bash
# ONNX Runtime's Range of floats adds the step up, so long ranges drift.
#
# With: onnxruntime 1.32.0 (CPU), onnx 1.23.2, numpy 2.4.6, Python 3.11.
# Expected: element i is start + i * delta, as the formula in the operator's text says and as
#   numpy.arange and torch.arange compute it. Range(0, 1000, 0.1) ends at 999.9.
# Seen: each element is the one before plus delta, in float32: Range(0, 1000, 0.1) ends at 999.8029,
#   Range(0, 100000, 0.1) at 100958.24, beyond its own limit, an error of 958. An exported
#   torch.arange(0, n, 0.1) (time axes, position features) becomes this operator.
# Source: https://onnx.ai/onnx/operators/onnx__Range.html (the formula), and the loop as it came in
#   https://github.com/microsoft/onnxruntime/pull/50
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

scalar = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [])
graph = helper.make_graph(
    [helper.make_node("Range", ["start", "limit", "delta"], ["y"])],
    "range",
    [scalar("start"), scalar("limit"), scalar("delta")],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

for limit, wrong_by in ((1_000, 0.09), (100_000, 900)):
    start, delta = np.float32(0), np.float32(0.1)
    y = session.run(None, {"start": np.asarray(start), "limit": np.asarray(limit, np.float32), "delta": np.asarray(delta)})[0]
    formula = np.arange(len(y)) * np.float64(delta)
    error = np.abs(y - formula).max()
    print(f"Range(0, {limit}, 0.1): {len(y)} elements, last {y[-1]}, by the formula {formula[-1]:.4f}")
    assert error > wrong_by, f"the drift is gone: {error}"
assert y[-1] > 100_000, "the last element used to lie beyond the limit"
PYTHON
