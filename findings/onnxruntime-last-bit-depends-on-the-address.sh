#!/usr/bin/env bash
# The last bit of a sum depends on where its input lies in memory.
#
# With: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6, x86-64, Python 3.11.
# Expected: the same numbers through the same session with one thread give the same bits.
# Seen: ReduceSum over all of an array of float32 gives another last bit when the array begins at an address that is no
#   multiple of 16: it is summed up in another order. NumPy's own arrays begin at one, so tests never see it; a tensor
#   that is taken where it lies in a request's body (np.frombuffer at an offset, as the binary tensor extension of the
#   Open Inference Protocol invites to) begins anywhere, and its answer changes with the length of the JSON before it.
# Source: none found; https://onnxruntime.ai/docs/ promises no alignment, and asks for none.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

ORT_DISABLE_TELEMETRY=1 "$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper

x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N"])
y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [])
graph = helper.make_graph([helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)], "g", [x], [y])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def at(offset, values):
    """The same numbers, `offset` bytes behind a multiple of 64."""
    room = np.zeros(values.nbytes + 128, np.uint8)
    start = -room.ctypes.data % 64 + offset
    placed = room[start : start + values.nbytes].view(np.float32)
    placed[:] = values
    return session.run(None, {"x": placed})[0].tobytes()


rng, differ = np.random.default_rng(0), {offset: 0 for offset in (4, 8, 12, 16, 32)}
for _ in range(200):
    values = rng.normal(size=1000).astype(np.float32)
    for offset in differ:
        differ[offset] += at(offset, values) != at(0, values)
print("of 200 sums, other bits than at a multiple of 64, by the offset:", differ)
assert differ[16] == differ[32] == 0, "multiples of 16 differ too now"
assert min(differ[4], differ[8], differ[12]) > 20, "the address does not matter any more"
PYTHON
