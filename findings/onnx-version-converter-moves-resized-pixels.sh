#!/usr/bin/env bash
# Raising a model's opset past 10 moves the pixels of its linear Resize.
#
# With: onnx 1.23.2 (version_converter), onnxruntime 1.32.0, numpy 2.4.6, Python 3.11.
# Expected: convert_version changes how a graph is written, never what it computes.
# Seen: Resize of opset 10 (and Upsample of 7 to 9) maps x to x / scale; from 11 on the default is
#   half_pixel, and the converter writes no coordinate_transformation_mode. A linear resize from 3 to 6
#   gives 0, 0.5, 1, 1.5, 2, 2 before and 0, 0.25, 0.75, 1.25, 1.75, 2 after, without a word: every
#   feature map after it is half a pixel off.
# Source: https://github.com/onnx/onnx/issues/8480
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


def model(op, opset):
    graph = helper.make_graph(
        [helper.make_node(op, ["x", "scales"], ["y"], mode="linear")],
        "resize",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 1, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 1, 6])],
        [helper.make_tensor("scales", TensorProto.FLOAT, [4], [1, 1, 1, 2])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run(graph):
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.arange(3, dtype=np.float32).reshape(1, 1, 1, 3)})[0].ravel().tolist()


for op, opset in (("Resize", 10), ("Upsample", 9)):
    before, after = (run(m) for m in (model(op, opset), version_converter.convert_version(model(op, opset), 18)))
    print(f"{op} at opset {opset}: {before}, converted to 18: {after}")
    assert before == [0, 0.5, 1, 1.5, 2, 2]
    assert after == [0, 0.25, 0.75, 1.25, 1.75, 2], "the converter keeps the pixels in place now"
PYTHON
