#!/usr/bin/env bash
# torch.logaddexp, exported to ONNX, is infinite from about 89 on.
#
# With: torch 2.13.0 (CPU), onnxscript 0.7.2, onnx 1.23.2, onnxruntime 1.32.0, Python 3.11.
# Expected: logaddexp(100, 100) is 100.69; that it does not overflow is the whole reason for it. The
#   exported graph computes the same, as the exported torch.logsumexp does.
# Seen: the dynamo exporter writes Log(Exp(a) + Exp(b)): inf for 100, and -inf for -200 where torch
#   says -199.31. No warning, and the examples that exports are tried with are rarely that large.
# Source: https://docs.pytorch.org/docs/stable/generated/torch.logaddexp.html ("numerical stability")
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


a = torch.tensor([1.0, 100.0, -200.0])
program, run = exported(torch.logaddexp, a, a)
expected, seen = torch.logaddexp(a, a), run(a, a)
print("nodes:", [node.op_type for node in program.model_proto.graph.node])
print("torch:", expected.tolist(), "exported:", seen.tolist())
assert abs(seen[0] - expected[0]) < 1e-5
assert seen[1] == float("inf") and seen[2] == -float("inf"), "the exported logaddexp is stable now"

rows = torch.stack([a, a])
assert torch.allclose(torch.from_numpy(exported(lambda x: torch.logsumexp(x, 0), rows)[1](rows)), expected, atol=1e-4)
PYTHON
