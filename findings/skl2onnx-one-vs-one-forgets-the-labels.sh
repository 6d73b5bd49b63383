#!/usr/bin/env bash
# A converted OneVsOneClassifier answers with the number of the class instead of its label.
#
# With: skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6, Python 3.11.
# Expected: a classifier trained on the labels 0, 10, 20 answers 0, 10 or 20, as a converted
#   LogisticRegression or OneVsRestClassifier does.
# Seen: it answers 0, 1, 2; for -1 and 1 it answers 0 and 1. Same dtype, no warning; with string labels
#   the graph does not load ("tensor(string) does not match expected type").
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
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier


def converted(model, example, **options):
    graph = to_onnx(model, example, options=options or None)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda rows: session.run(None, {session.get_inputs()[0].name: rows})


rows = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
for labels in (np.digitize(rows[:, 0], [-0.5, 0.5]) * 10, np.where(rows[:, 0] > 0, 1, -1)):
    for kind in (OneVsRestClassifier, OneVsOneClassifier):
        model = kind(LogisticRegression()).fit(rows, labels)
        answer = converted(model, rows[:1])(rows)[0].ravel()
        print(f"{kind.__name__}: scikit-learn {np.unique(model.predict(rows))}, converted {np.unique(answer)}")
        assert np.array_equal(answer, model.predict(rows)) == (kind is OneVsRestClassifier), "labels survive now"
    assert np.array_equal(np.unique(labels)[answer], model.predict(rows)), "it used to be the class number"
PYTHON
