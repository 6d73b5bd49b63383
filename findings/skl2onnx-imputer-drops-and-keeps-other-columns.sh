#!/usr/bin/env bash
# A converted SimpleImputer returns another number of columns than the one it was made from.
#
# With: skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6, Python 3.11.
# Expected: the same columns, or a refusal of what cannot be converted.
# Seen: add_indicator=True appends a column for each feature with missing values; the graph leaves
#   them out (2 columns for 3). A feature that was never seen is dropped by scikit-learn; the graph keeps
#   it, full of NaN (2 columns for 1). A model behind it in a hand-made pipeline reads the wrong places.
# Source: https://scikit-learn.org/stable/modules/generated/sklearn.impute.SimpleImputer.html
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    skl2onnx==1.20.0 scikit-learn==1.9.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import warnings

import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.impute import SimpleImputer

warnings.simplefilter("ignore")


def converted(model, example, **options):
    graph = to_onnx(model, example, options=options or None)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda rows: session.run(None, {session.get_inputs()[0].name: rows})


rows = np.arange(12, dtype=np.float32).reshape(6, 2)
some, never = rows.copy(), rows.copy()
some[::3, 1] = np.nan
never[:, 1] = np.nan
for name, model, data in (("indicator", SimpleImputer(add_indicator=True), some), ("never seen", SimpleImputer(), never)):
    expected, seen = model.fit_transform(data), converted(model, data[:1])(data)[0]
    print(f"{name}: scikit-learn {expected.shape} {expected[0]}, converted {seen.shape} {seen[0]}")
    assert expected.shape != seen.shape, "the columns are the same now"
assert np.isnan(seen[:, 1]).all()
PYTHON
