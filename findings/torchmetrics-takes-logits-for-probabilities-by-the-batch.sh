#!/usr/bin/env bash
# torchmetrics decides batch by batch whether scores are logits, so the metric depends on the batches.
#
# With: torchmetrics 1.9.0, torch 2.13.0 (CPU), Python 3.11.
# Expected: the accuracy over a data set does not depend on how it is cut into batches.
# Seen: values outside [0, 1] anywhere in a batch make all of that batch logits (a sigmoid is applied);
#   a batch of logits that happen to lie within [0, 1] is taken for probabilities. The same four
#   predictions: accuracy 1.0 in one batch, 0.75 in two. Last, smaller batches are the likeliest to lie
#   within, and models early in training.
# Source: https://lightning.ai/docs/torchmetrics/stable/classification/accuracy.html ("outside [0,1] range")
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    torch==2.13.0 torchmetrics==1.9.0 scikit-learn==1.9.1 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import torch
from torchmetrics.classification import BinaryAccuracy

logits, labels = torch.tensor([0.2, 0.6, 3.0, -2.0]), torch.tensor([1, 1, 1, 0])


def accuracy(*batches):
    metric = BinaryAccuracy()
    for batch in batches:
        metric.update(logits[batch], labels[batch])
    return metric.compute().item()


whole, halves = accuracy(slice(0, 4)), accuracy(slice(0, 2), slice(2, 4))
print(f"one batch: {whole}, the same in two batches: {halves}")
assert whole == 1.0 and halves == 0.75, "the metric no longer depends on the batches"
PYTHON
