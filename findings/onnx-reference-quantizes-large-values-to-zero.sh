#!/usr/bin/env bash
# The ONNX reference evaluator saturates large values to the wrong end when it quantizes.
#
# With: onnx 1.23.2 (ReferenceEvaluator), onnxruntime 1.32.0, numpy 2.4.6, Python 3.11.
# Expected: QuantizeLinear saturates: with scale 1 and uint8, 300, 3e9 and infinity are all 255. So says
#   the operator's text ("saturates to [0, 255]") and so does ONNX Runtime.
# Seen: 300 is 255, but 3e9 and +inf are 0 (and -128 for int8): the value passes through int32 before
#   it is clipped and turns negative there (on x86-64). x / scale beyond 2**31 is not rare with a small scale: 5.0
#   with a scale of 1e-9 is enough. numpy says "invalid value encountered in cast", no more.
# Source: https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html
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
x = np.array([300, 3e9, np.inf], np.float32)
for kind, tensor, top, bottom in ((np.uint8, TensorProto.UINT8, 255, 0), (np.int8, TensorProto.INT8, 127, -128)):
    graph = helper.make_graph(
        [helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["y"])],
        "quantize",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])],
        [helper.make_tensor_value_info("y", tensor, [3])],
        [numpy_helper.from_array(np.float32(1).reshape(()), "scale"), numpy_helper.from_array(kind(0).reshape(()), "zero")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    runtime, reference = session.run(None, {"x": x})[0], ReferenceEvaluator(model).run(None, {"x": x})[0]
    print(f"{kind.__name__} of {x}: ONNX Runtime {runtime}, reference {reference}")
    assert runtime.tolist() == [top, top, top]
    assert reference.tolist() == [top, bottom, bottom], "the evaluator saturates to the right end now"
PYTHON
