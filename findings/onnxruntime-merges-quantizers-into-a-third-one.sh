#!/usr/bin/env bash
# Two quantizers in a row: ONNX Runtime's basic optimisation replaces both by one of its own making.
#
# With: onnxruntime 1.32.0 (CPU), onnx 1.23.2, numpy 2.4.6, Python 3.11.
# Expected: QuantizeLinear, DequantizeLinear with scale 0.1, then the same with scale 0.3: the output
#   lies on the grid of the last pair, multiples of 0.3. Optimisation changes the time, or the last digit.
# Seen: with ORT_ENABLE_BASIC and above the four nodes become two with a new scale and zero point
#   computed from both ranges: 1.594, 2.889, 4.184 where the graph says 1.5, 3.0, 4.2. The outputs do
#   not lie on the grid the model was trained or calibrated with. Seen in quantized models where one
#   layer's output quantizer meets the next one's input quantizer.
# Source: https://github.com/microsoft/onnxruntime/pull/14024 (DoubleQDQPairsRemover)
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

LEVELS = onnxruntime.GraphOptimizationLevel
constants = {"s1": np.float32(0.1), "z1": np.uint8(10), "s2": np.float32(0.3), "z2": np.uint8(3)}
graph = helper.make_graph(
    [helper.make_node("QuantizeLinear", ["x", "s1", "z1"], ["q1"]),
     helper.make_node("DequantizeLinear", ["q1", "s1", "z1"], ["d1"]),
     helper.make_node("QuantizeLinear", ["d1", "s2", "z2"], ["q2"]),
     helper.make_node("DequantizeLinear", ["q2", "s2", "z2"], ["y"])],
    "two quantizers",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])],
    [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def run(level, x):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"]).run(None, {"x": x})[0]


x = np.linspace(-1, 8, 8, dtype=np.float32)
plain, basic, full = (run(level, x) for level in (LEVELS.ORT_DISABLE_ALL, LEVELS.ORT_ENABLE_BASIC, LEVELS.ORT_ENABLE_ALL))
print("as the graph says:", plain)
print("with the default: ", full)
off_grid = np.abs(full / 0.3 - np.round(full / 0.3)).max()
print(f"largest difference {np.abs(plain - full).max():.3f}; farthest from a multiple of 0.3: {off_grid:.2f} of a step")
assert np.allclose(plain / 0.3, np.round(plain / 0.3), atol=1e-4)
assert np.array_equal(basic, full) and off_grid > 0.05, "the optimised graph keeps the grid now"
PYTHON
