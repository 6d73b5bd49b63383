#!/usr/bin/env bash
# Dynamic quantization in ONNX Runtime hides NaN: it becomes 0 and the rest looks healthy.
#
# With: onnxruntime 1.32.0 (CPU), onnx 1.23.2, numpy 2.4.6, Python 3.11.
# Expected: NaN in an activation shows in the answer, as it does in the float model; the ONNX reference's scale is
#   NaN.
# Seen: DynamicQuantizeLinear of [1, NaN, 2] answers scale 2/255 and [127, 0, 255]: the NaN is left out of the
#   range and becomes the zero point, 0.0. QuantizeLinear with a fixed scale and zero point 128 gives 0, the lowest
#   value of all, -128 steps from the middle. A quantized model answers confidently where the float model answers
#   NaN, so a check for NaN in the answers sees nothing.
# Source: https://onnx.ai/onnx/operators/onnx__DynamicQuantizeLinear.html (NaN is not mentioned)
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import warnings

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

warnings.simplefilter("ignore")


def model(nodes, outputs, constants=()):
    graph = helper.make_graph(
        nodes,
        "quantize",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None])],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def run(graph, x):
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})


x = np.array([1, np.nan, 2], np.float32)
dynamic = model(
    [helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "scale", "zero"])],
    [("y", TensorProto.UINT8), ("scale", TensorProto.FLOAT), ("zero", TensorProto.UINT8)],
)
y, scale, zero = run(dynamic, x)
print(f"dynamic: {y}, scale {scale:.5f}, zero point {zero}; reference scale {ReferenceEvaluator(dynamic).run(None, {'x': x})[1]}")
assert y[1] == zero == 0 and np.isclose(scale, 2 / 255), "NaN shows now"
assert np.isnan(ReferenceEvaluator(dynamic).run(None, {"x": x})[1])

constants = [numpy_helper.from_array(np.array(0.1, np.float32), "scale"), numpy_helper.from_array(np.array(128, np.uint8), "zero")]
fixed = model([helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["y"])], [("y", TensorProto.UINT8)], constants)
print("fixed, zero point 128:", run(fixed, x)[0])
assert run(fixed, x)[0].tolist() == [138, 0, 148], "NaN is quantized otherwise now"
PYTHON
