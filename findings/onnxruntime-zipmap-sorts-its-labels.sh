#!/usr/bin/env bash
# ZipMap's dicts come out of ONNX Runtime sorted by label, not in the order of the classes.
#
# With: onnxruntime 1.32.0, onnx 1.23.2, Python 3.11.
# Expected: the order of `classlabels`, which is that of the columns of the probabilities: Python's dicts keep it, and
#   list(row.values()) is how people turn ZipMap back into an array.
# Seen: classlabels [7, 3, 5] of probabilities [a, b, c] give {3: b, 5: c, 7: a}. Labels of texts are sorted, too. What
#   argmax of the values then points at is another class than the graph's own.
# Source: https://onnx.ai/onnx/operators/onnx_aionnxml_ZipMap.html (a map a row; an order is not mentioned)
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


def asked(**labels):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])
    y = onnx.ValueInfoProto(name="y")
    made = y.type.sequence_type.elem_type.map_type
    made.key_type = TensorProto.INT64 if "classlabels_int64s" in labels else TensorProto.STRING
    made.value_type.tensor_type.elem_type = TensorProto.FLOAT
    graph = helper.make_graph([helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", **labels)], "g", [x], [y])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    ((row,),) = session.run(None, {"x": np.array([[0.5, 0.25, 0.125]], np.float32)})
    return row


for labels in ({"classlabels_int64s": [7, 3, 5]}, {"classlabels_strings": ["c", "a", "b"]}):
    row = asked(**labels)
    (classes,) = labels.values()
    print("classes", classes, "with 0.5, 0.25, 0.125:", row)
    assert row == dict(zip(classes, [0.5, 0.25, 0.125])), "the pairs are wrong"
    assert list(row) == sorted(classes) != classes, "the order is the classes' now"
PYTHON
