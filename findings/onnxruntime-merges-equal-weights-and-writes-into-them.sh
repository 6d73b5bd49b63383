#!/usr/bin/env bash
# A graph with BatchNormalization in training mode answers the same input otherwise at every run in ONNX Runtime.
#
# With: onnxruntime 1.32.0, onnx 1.23.2, Python 3.11.
# Expected: a session is a function of its inputs, and `run` may be called from several threads at once. A bias of 0 and
#   a running mean that begins at 0 are two initializers, and in training mode the answer depends on neither's history.
# Seen: the optimiser makes one tensor of initializers that hold the same numbers, and the kernel writes the new running
#   mean in place, over the initializer: so over the bias. y of the same x is -0.8, -0.62, -0.458 … from run to run,
#   where it is -1 with optimisations off: what the first caller sent is in the second's answer. (torch.onnx writes
#   such a node for a model that was exported before .eval().)
# Source: https://onnx.ai/onnx/operators/onnx__BatchNormalization.html; none found for the merging.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

ORT_DISABLE_TELEMETRY=1 "$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

weights = {"scale": 1, "bias": 0, "running_mean": 0, "running_variance": 1}
x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2]) for name in "xy")
node = helper.make_node(
    "BatchNormalization", ["x", *weights], ["y", "new_mean", "new_variance"], training_mode=1, momentum=0.9
)
values = [numpy_helper.from_array(np.full(2, value, np.float32), name) for name, value in weights.items()]
model = helper.make_model(
    helper.make_graph([node], "g", [x], [y], values), opset_imports=[helper.make_opsetid("", 15)], ir_version=8
)


def answers(level):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level, options.log_severity_level = level, 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    asked = np.array([[1, 2], [3, 6]], np.float32)
    return [round(float(session.run(None, {"x": asked})[0][0, 0]), 3) for _ in range(3)]


plain = answers(onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)
usual = answers(onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)
print("y of the same x, three times, not optimised:", plain)
print("and as a session is made unless told otherwise:", usual)
assert plain == [-1.0, -1.0, -1.0], "without optimisations it differs too"
assert usual == [-0.8, -0.62, -0.458], "a session keeps its weights now"
PYTHON
