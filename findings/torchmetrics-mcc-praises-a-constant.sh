#!/usr/bin/env bash
# torchmetrics gives a classifier that always says yes a Matthews correlation of 0.985.
#
# With: torchmetrics 1.9.0, scikit-learn 1.9.1, torch 2.13.0 (CPU), Python 3.11.
# Expected: predictions that never change correlate with nothing: 0, as scikit-learn says. That is what
#   the coefficient is chosen for on unbalanced data.
# Seen: always 1, with 99 of 100 labels 1: torchmetrics' binary_matthews_corrcoef says 0.9849,
#   scikit-learn 0.0, and torchmetrics' own multiclass one 0.0 for the same. All right and one class only:
#   1 against 0; all wrong: -1 against 0.
# Source: https://lightning.ai/docs/torchmetrics/stable/classification/matthews_corr_coef.html,
#   https://scikit-learn.org/stable/modules/generated/sklearn.metrics.matthews_corrcoef.html
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    torch==2.13.0 torchmetrics==1.9.0 scikit-learn==1.9.1 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import torch
from sklearn.metrics import matthews_corrcoef
from torchmetrics.functional.classification import binary_matthews_corrcoef, multiclass_matthews_corrcoef

always = torch.ones(100, dtype=torch.long)
labels = always.clone()
labels[-1] = 0
cases = {"99 of 100": (always, labels), "all right": (always, always), "all wrong": (always, 1 - always)}
seen = {}
for name, (said, truth) in cases.items():
    binary = float(binary_matthews_corrcoef(said, truth))
    classes = float(multiclass_matthews_corrcoef(said, truth, num_classes=3))
    theirs = float(matthews_corrcoef(truth, said))
    print(f"{name}: torchmetrics binary {binary:.4f}, multiclass {classes:.4f}, scikit-learn {theirs:.4f}")
    assert theirs == 0
    seen[name] = binary
assert seen["99 of 100"] > 0.98 and seen["all right"] == 1 and seen["all wrong"] == -1, "constants get 0 now"
PYTHON
