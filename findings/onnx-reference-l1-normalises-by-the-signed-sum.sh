#!/usr/bin/env bash
# The ONNX reference evaluator's LpNormalization with p=1 divides by the sum, signs and all.
#
# With: onnx 1.23.2 (ReferenceEvaluator), onnxruntime 1.32.0, numpy 2.4.6, Python 3.11.
# Expected: p=1 divides by the sum of absolute values: [3, -4] becomes [0.4286, -0.5714].
# Seen: it divides by 3 - 4 = -1 and answers [-3, 4]: the signs are turned and nothing is normalised.
#   p=2 is right, and so is ONNX Runtime in both. The two disagree on a valid graph, in silence.
# Source: https://onnx.ai/onnx/operators/onnx__LpNormalization.html
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

x = np.array([[3, -4], [1, 3]], np.float32)
for p in (1, 2):
    graph = helper.make_graph(
        [helper.make_node("LpNormalization", ["x"], ["y"], axis=1, p=p)],
        "normalise",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    runtime, reference = session.run(None, {"x": x})[0], ReferenceEvaluator(model).run(None, {"x": x})[0]
    print(f"p={p}: ONNX Runtime {runtime.tolist()}, reference {reference.tolist()}")
    right = x / np.linalg.norm(x, ord=p, axis=1, keepdims=True)
    assert np.allclose(runtime, right, atol=1e-6)
    assert np.allclose(reference[1], right[1], atol=1e-6), "rows without a minus are right"
    assert np.allclose(reference[0], right[0], atol=1e-6) == (p == 2), "p=1 takes absolute values now"
PYTHON
