#!/usr/bin/env bash
# k nearest neighbours with weights="distance" are weighted otherwise after conversion to ONNX.
#
# With: skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6, Python 3.11.
# Expected: neighbours weigh 1 / distance, and a row that is in the training set gets its own target, as
#   scikit-learn says. The converter takes the model without a warning.
# Seen: predictions of new rows are off by 0.23 (targets have a deviation of 1), of training rows
#   by 0.71; a classifier's probabilities move as far. weights="uniform" agrees.
# Source: https://scikit-learn.org/stable/modules/generated/sklearn.neighbors.KNeighborsRegressor.html (weights)
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
from sklearn.neighbors import KNeighborsRegressor


def converted(model, example, **options):
    graph = to_onnx(model, example, options=options or None)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda rows: session.run(None, {session.get_inputs()[0].name: rows})


random = np.random.default_rng(0)
rows, others = random.normal(size=(50, 2)).astype(np.float32), random.normal(size=(200, 2)).astype(np.float32)
for weights in ("uniform", "distance"):
    model = KNeighborsRegressor(3, weights=weights).fit(rows, rows[:, 0])
    run = converted(model, rows[:1])
    off = {name: np.abs(run(some)[0].ravel() - model.predict(some)).max() for name, some in (("new", others), ("training", rows))}
    print(f"weights={weights}: new rows off by {off['new']:.2g}, training rows by {off['training']:.2g}")
    if weights == "uniform":
        assert max(off.values()) < 1e-4
assert off["new"] > 0.1 and off["training"] > 0.1, "distance weights survive now"
PYTHON
