#!/usr/bin/env bash
# The mean over an empty axis is 0 in ONNX Runtime and NaN in torch, numpy and the ONNX reference.
#
# With: onnxruntime 1.32.0 (CPU), onnx 1.23.2, numpy 2.4.6, Python 3.11.
# Expected: ReduceMean over no elements is 0 / 0, NaN. The operator's text: "yields undefined".
# Seen: 0.0. An exported model that pools a sequence by its mean answers an empty history, text or selection
#   with the score of the zero vector; the model it was exported from answers NaN, which its owner would
#   have seen.
# Source: https://onnx.ai/onnx/operators/onnx__ReduceMean.html
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
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

warnings.simplefilter("ignore")
graph = helper.make_graph(
    [helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)],
    "mean",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, None, 2])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])],
    [helper.make_tensor("axes", TensorProto.INT64, [1], [1])],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
nothing = np.zeros((1, 0, 2), np.float32)
runtime, reference = session.run(None, {"x": nothing})[0], ReferenceEvaluator(model).run(None, {"x": nothing})[0]
print("ONNX Runtime:", runtime, "reference:", reference, "numpy:", nothing.mean(axis=1))
assert np.isnan(reference).all() and np.isnan(nothing.mean(axis=1)).all()
assert (runtime == 0).all(), "the mean of nothing is no longer 0"
PYTHON
