#!/usr/bin/env bash
# onnxslim and onnxsim merge two random draws into one.
#
# With: onnxslim 0.1.98, onnxsim 0.8.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6, Python 3.11.
# Expected: common subexpressions are merged where they are equal; two RandomUniformLike nodes draw twice,
#   so they are not. ONNX Runtime's own elimination leaves them.
# Seen: both tools keep one node and feed it to both places: the difference of two independent draws is 0
#   everywhere. A model that samples twice (two noises, pairs of samples, repeated dropout) loses the second
#   sample; both tools say that the model is simplified.
# Source: https://onnx.ai/onnx/operators/onnx__RandomUniformLike.html
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    onnxslim==0.1.98 onnxsim==0.8.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
import onnxsim
import onnxslim
from onnx import TensorProto, helper

graph = helper.make_graph(
    [helper.make_node("RandomUniformLike", ["x"], ["first"]),
     helper.make_node("RandomUniformLike", ["x"], ["second"]),
     helper.make_node("Sub", ["first", "second"], ["y"])],
    "two draws",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1000])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1000])],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
models = {"as it is": model, "onnxslim": onnxslim.slim(model), "onnxsim": onnxsim.simplify(model)[0]}
for name, each in models.items():
    session = onnxruntime.InferenceSession(each.SerializeToString(), providers=["CPUExecutionProvider"])
    spread = float(session.run(None, {"x": np.zeros(1000, np.float32)})[0].std())
    print(f"{name}: nodes {[node.op_type for node in each.graph.node]}, deviation of the difference {spread:.3f}")
    assert (spread > 0.3) == (name == "as it is"), "both draws are kept now"
PYTHON
