#!/usr/bin/env bash
# A converted OneHotEncoder takes 1.7 for the category 1.
#
# With: skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6, Python 3.11.
# Expected: with handle_unknown="ignore" a value that was not among the categories is a row of zeros;
#   scikit-learn compares for equality.
# Seen: float features are cast to int64 first, so 1.7 is 1 and 2.9 is 2. Rows that should be "unknown"
#   get a category. (Categories that are fractions themselves are refused at conversion.)
# Source: https://scikit-learn.org/stable/modules/generated/sklearn.preprocessing.OneHotEncoder.html
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    skl2onnx==1.20.0 scikit-learn==1.9.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.preprocessing import OneHotEncoder


def converted(model, example, **options):
    graph = to_onnx(model, example, options=options or None)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda rows: session.run(None, {session.get_inputs()[0].name: rows})


model = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(np.array([[1.0], [2.0]], np.float32))
rows = np.array([[1.0], [1.7], [2.9], [7.0]], np.float32)
expected, seen = model.transform(rows), converted(model, rows[:1])(rows)[0]
for value, theirs, ours in zip(rows.ravel(), expected, seen):
    print(f"{value:.1f}: scikit-learn {theirs}, converted {ours}")
assert expected[1:].sum() == 0
assert seen.tolist() == [[1, 0], [1, 0], [0, 1], [0, 0]], "fractions are unknown now"
PYTHON
