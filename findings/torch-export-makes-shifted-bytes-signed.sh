#!/usr/bin/env bash
# Shifting uint8 to the left comes out of an exported graph as int8.
#
# With: torch 2.13.0 (CPU), onnxscript 0.7.2, onnx 1.23.2, onnxruntime 1.32.0, Python 3.11.
# Expected: 100 << 1 of uint8 is 200, of dtype uint8, in torch and in the graph that the dynamo exporter writes.
# Seen: the graph says [2, -56, -112], int8: the node is a BitShift of unsigned bytes, as it must be, and a cast to
#   int8 follows it. The bits are right, the numbers are not; a table that is read with them is read elsewhere.
# Source: https://onnx.ai/onnx/operators/onnx__BitShift.html (unsigned types only)
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    torch==2.13.0 onnxscript==0.7.2 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import logging
import warnings

import onnxruntime
import torch

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)


class Shift(torch.nn.Module):
    def forward(self, x):
        return x << 1


x = torch.tensor([1, 100, 200], dtype=torch.uint8)
program = torch.onnx.export(Shift(), (x,), dynamo=True, verbose=False)
session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
seen = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
print("torch:", (x << 1).dtype, (x << 1).tolist(), "exported:", seen.dtype, seen.tolist())
assert (x << 1).tolist() == [2, 200, 144]
assert str(seen.dtype) == "int8", "bytes stay unsigned now"
PYTHON
