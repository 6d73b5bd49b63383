#!/usr/bin/env bash
# Average pooling with divisor_override exports to ONNX without it.
#
# With: torch 2.13.0 (CPU), onnxscript 0.7.2, onnx 1.23.2, onnxruntime 1.32.0, Python 3.11.
# Expected: ONNX's AveragePool has no such attribute, so the exporter either multiplies afterwards or
#   refuses, as the older TorchScript exporter did ("divisor_override not supported").
# Seen: the dynamo exporter drops the argument: sums of windows (divisor_override=1) come out as means,
#   a quarter of torch's numbers for 2x2, without an error or a warning.
# Source: https://github.com/pytorch/pytorch/issues/105349 (the old exporter's refusal)
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


def exported(function, *example):
    class Model(torch.nn.Module):
        def forward(self, *inputs):
            return function(*inputs)

    program = torch.onnx.export(Model(), example, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    return program, lambda *inputs: session.run(None, dict(zip(names, (x.numpy() for x in inputs))))[0]


image = torch.arange(16.0).reshape(1, 1, 4, 4)
pool = torch.nn.AvgPool2d(2, divisor_override=1)
program, run = exported(pool, image)
expected, seen = pool(image), torch.from_numpy(run(image))
print("nodes:", [node.op_type for node in program.model_proto.graph.node])
print("torch:", expected.flatten().tolist(), "exported:", seen.flatten().tolist())
assert torch.equal(seen * 4, expected), "divisor_override is exported now"
PYTHON
