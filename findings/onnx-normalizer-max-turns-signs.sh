#!/usr/bin/env bash
# Normalizer "MAX" divides by the largest value in ONNX Runtime, by the largest magnitude elsewhere.
#
# With: skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6, Python 3.11.
# Expected: the maximum norm is that of magnitudes: scikit-learn's Normalizer(norm="max") leaves signs alone
#   and gives values within [-1, 1]; its converted graph does the same everywhere.
# Seen: ONNX Runtime divides by the signed maximum, as the operator's text says: [3, -4] becomes
#   [1, -1.33] and [-3, -4] becomes [1, 1.33], all signs turned. The ONNX reference evaluator divides by the
#   magnitude, as scikit-learn does, so the two disagree on one graph.
# Source: https://github.com/onnx/onnx/issues/8452, https://github.com/onnx/sklearn-onnx/issues/793
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    skl2onnx==1.20.0 scikit-learn==1.9.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
from onnx.reference import ReferenceEvaluator
from skl2onnx import to_onnx
from sklearn.preprocessing import Normalizer

rows = np.array([[3, -4], [-3, -4], [3, 4]], np.float32)
model = Normalizer(norm="max").fit(rows)
graph = to_onnx(model, rows[:1])
session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
runtime, reference = session.run(None, {name: rows})[0], ReferenceEvaluator(graph).run(None, {name: rows})[0]
print("scikit-learn:", model.transform(rows).tolist())
print("reference:   ", reference.tolist())
print("ONNX Runtime:", runtime.tolist())
assert np.allclose(reference, model.transform(rows))
assert np.allclose(runtime, [[1, -4 / 3], [1, 4 / 3], [0.75, 1]]), "ONNX Runtime takes magnitudes now"
PYTHON
