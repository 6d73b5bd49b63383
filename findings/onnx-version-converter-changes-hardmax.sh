#!/usr/bin/env bash
# Raising a model's opset past 12 makes Hardmax answer another question; Softmax is looked after.
#
# With: onnx 1.23.2 (version_converter), onnxruntime 1.32.0, numpy 2.4.6, Python 3.11.
# Expected: the meaning of `axis` changed at opset 13 for Softmax, LogSoftmax and Hardmax alike (before:
#   everything from the axis on is one row). The converter rewrites Softmax so that the numbers stay;
#   the same for Hardmax.
# Seen: Softmax and LogSoftmax keep their numbers. Hardmax is passed through: one 1 in each row of 12
#   becomes one 1 in each of four columns.
# Source: https://onnx.ai/onnx/operators/onnx__Hardmax.html (the change at 13)
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, version_converter


def run(model, x):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
for op in ("Softmax", "LogSoftmax", "Hardmax"):
    graph = helper.make_graph(
        [helper.make_node(op, ["x"], ["y"], axis=1)],
        "rows",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3, 4])],
    )
    old = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    new = version_converter.convert_version(old, 18)
    before, after = run(old, x), run(new, x)
    same = np.allclose(before, after, atol=1e-5)
    print(f"{op}: nodes {[node.op_type for node in new.graph.node]}, same numbers: {same}, sum of a row {before[0].sum():.2f} and {after[0].sum():.2f}")
    assert same == (op != "Hardmax"), "Hardmax is converted now"
assert before[0].sum() == 1 and after[0].sum() == 4
PYTHON
