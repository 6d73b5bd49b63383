#!/usr/bin/env bash
# LinearRegressor's post_transform works for two targets and is skipped for one.
#
# With: onnxruntime 1.32.0 (CPU), onnx 1.23.2, numpy 2.4.6, Python 3.11.
# Expected: post_transform="LOGISTIC" applies the logistic function to the result, however many targets.
# Seen: two targets: 0.6225 and 0.8022 (logistic of 0.5 and 1.4); one target of 0.8: 0.8, the raw sum.
#   A hand-made logistic scorer answers with log-odds, outside [0, 1]. Likewise LinearClassifier with one row of
#   coefficients: "SOFTMAX" gives [0.2, 0.8] = [1 - score, score], and [-4, 5] for a score of 5.
# Source: https://onnx.ai/onnx/operators/onnx_aionnxml_LinearRegressor.html
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


def run(op, rows, outputs, **attributes):
    node = helper.make_node(op, ["x"], [name for name, _ in outputs], domain="ai.onnx.ml", **attributes)
    graph = helper.make_graph(
        [node],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, rows.shape[1]])],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs],
    )
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": rows})


rows = np.array([[1, 2]], np.float32)
one = run("LinearRegressor", rows, [("y", TensorProto.FLOAT)], coefficients=[0.1, 0.2], intercepts=[0.3], post_transform="LOGISTIC")[0]
two = run("LinearRegressor", rows, [("y", TensorProto.FLOAT)], coefficients=[0.1, 0.2, 0.3, 0.4], intercepts=[0.0, 0.3],
          targets=2, post_transform="LOGISTIC")[0]
print("LOGISTIC, one target of 0.8:", one, "two targets of 0.5 and 1.4:", two)
assert np.allclose(two, 1 / (1 + np.exp([-0.5, -1.4])), atol=1e-5)
assert np.allclose(one, 0.8), "one target is transformed now"

scores = run("LinearClassifier", rows * 5, [("label", TensorProto.INT64), ("scores", TensorProto.FLOAT)],
             coefficients=[1.0, 0.0], intercepts=[0.0], classlabels_ints=[0, 1], post_transform="SOFTMAX")[1]
print("LinearClassifier, SOFTMAX, score 5:", scores)
assert np.allclose(scores, [[-4, 5]]), "two classes are a softmax now"
PYTHON
