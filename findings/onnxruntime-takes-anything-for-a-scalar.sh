#!/usr/bin/env bash
# An input that a graph declares as a scalar takes a tensor of any shape in ONNX Runtime.
#
# With: onnxruntime 1.32.0, onnx 1.23.2, Python 3.11.
# Expected: a rank is checked, as it is for every other rank: "Invalid rank for input: x Got: 1 Expected: 2".
# Seen: the shape [] of the file is the same to it as no shape at all. [3] and [2, 3] go through a graph of
#   x: float[] -> y: float[], and y has their shape; at most a warning is written to stderr. A server that
#   reads shapes from `get_inputs()` cannot tell a scalar from an input of unknown rank: both say [].
# Source: https://onnx.ai/onnx/repo-docs/IR.html (static tensor shapes: no shape is not the empty shape)
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

ORT_DISABLE_TELEMETRY=1 "$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper


def session(shape):
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy")
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


scalar, unknown = session([]), session(None)
onnxruntime.set_default_logger_severity(4)
print("declared [] and nothing:", scalar.get_inputs()[0].shape, unknown.get_inputs()[0].shape)
assert scalar.get_inputs()[0].shape == unknown.get_inputs()[0].shape == []
for shape in ((), (3,), (2, 3)):
    (seen,) = scalar.run(None, {"x": np.ones(shape, np.float32)})
    print("a scalar was asked with", shape, "and answered with", seen.shape)
    assert seen.shape == shape, "a scalar is a scalar now"
try:
    session([2]).run(None, {"x": np.ones((2, 1), np.float32)})
except Exception as error:
    print("beside it:", str(error).split(" Please")[0])
else:
    raise AssertionError("no rank is checked at all")
PYTHON
