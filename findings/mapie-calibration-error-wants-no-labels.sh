#!/usr/bin/env bash
# MAPIE's expected_calibration_error(y_true, y_scores) takes y_true for "was the answer right".
#
# With: MAPIE 1.6.0, scikit-learn 1.9.1, numpy 2.1.3, Python 3.11.
# Expected: y_true are the labels, as in every metric of scikit-learn, in MAPIE's other metrics and in its own
#   top_label_ece; with probabilities of shape (n, classes) the function finds the top class itself.
# Seen: it takes the top probability, and compares its mean with the mean of y_true. Labels are
#   accepted: a model that is right every time with probability 0.9 has an error of 0.9 where all labels
#   are 0, and 0.1 where they are 1; the truth is 0.1. The docstring says so; the name does not ("historical").
# Source: https://mapie.readthedocs.io/ (mapie.metrics.calibration.expected_calibration_error)
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    mapie==1.6.0 scikit-learn==1.9.1 numpy==2.1.3

"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
from mapie.metrics.calibration import expected_calibration_error, top_label_ece

scores = np.tile([[0.9, 0.1]], (20, 1))
for label, sure in ((0, scores), (1, scores[:, ::-1])):
    labels = np.full(20, label)
    right = (sure.argmax(axis=1) == labels).astype(int)
    by_label = expected_calibration_error(labels, sure, num_bins=10)
    by_right = expected_calibration_error(right, sure, num_bins=10)
    top = top_label_ece(labels, sure, num_bins=10)
    print(f"always {label}, always right, probability 0.9: with labels {by_label:.2f}, with 'was right' {by_right:.2f}, top_label_ece {top:.2f}")
    assert np.isclose(by_right, 0.1) and np.isclose(top, 0.1)
    assert np.isclose(by_label, 0.9 if label == 0 else 0.1), "labels are understood now"
PYTHON
