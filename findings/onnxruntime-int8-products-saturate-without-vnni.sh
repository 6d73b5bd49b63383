#!/usr/bin/env bash
# MatMulInteger of uint8 by int8 is off by half on x86 processors without VNNI, exact on others.
#
# With: onnxruntime 1.32.0 (CPU), onnx 1.23.2, numpy 2.4.6, Python 3.11, x86-64 with AVX2 and no VNNI.
# Expected: the operator's output is int32 and exact; 64 products of 255 * 127 sum up to 2,072,640. So says the
#   ONNX reference, and onnxruntime-web 1.30 on the same machine.
# Seen: 1,048,544 = 32 * 32,767: pairs of products are added in 16 bits, with saturation. Large weights and bright
#   inputs are what saturates, so one quantized model file has other answers by the machine it lands on, and golden
#   numbers taken on one kind of node fail on the other. quantize_dynamic(reduce_range=True) is the documented way
#   out. On a processor with VNNI this script expects the exact sum.
# Source: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html (reduce_range, "saturation
#   issue")
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import pathlib

import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

graph = helper.make_graph(
    [helper.make_node("MatMulInteger", ["a", "b"], ["y"])],
    "product",
    [helper.make_tensor_value_info("a", TensorProto.UINT8, [1, 64]), helper.make_tensor_value_info("b", TensorProto.INT8, [64, 2])],
    [helper.make_tensor_value_info("y", TensorProto.INT32, [1, 2])],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
vnni = "vnni" in pathlib.Path("/proc/cpuinfo").read_text()
for largest, saturates in ((127, True), (64, False)):
    feeds = {"a": np.full((1, 64), 255, np.uint8), "b": np.full((64, 2), largest, np.int8)}
    runtime, reference = session.run(None, feeds)[0], ReferenceEvaluator(model).run(None, feeds)[0]
    print(f"64 times 255 * {largest}: ONNX Runtime {runtime.tolist()}, reference {reference.tolist()}, processor with VNNI: {vnni}")
    assert (reference == 64 * 255 * largest).all()
    assert (runtime == (32 * 32767 if saturates and not vnni else reference)).all(), "the sums are others now"
PYTHON
