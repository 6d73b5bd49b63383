#!/usr/bin/env bash
# With class weights, cross_entropy of one-hot targets is another number than of the same labels.
#
# With: torch 2.13.0 (CPU), Python 3.11.
# Expected: labels [0, 1] and their one-hot rows are the same targets, so the mean loss is the same; that
#   is how one turns labels into rows for mixup or smoothing.
# Seen: without weights it is (0.3955 twice). With weights [1, 10, 1] it is 0.5231 and 2.8770: for labels
#   the sum is divided by the weights that were used (11), for rows by their count (2). The learning rate
#   that suited the one is 5.5 times too high for the other, and changes with the classes in the batch.
# Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html (both formulas)
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    torch==2.13.0 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import torch
import torch.nn.functional as F

logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
labels = torch.tensor([0, 1])
rows = F.one_hot(labels, 3).float()
for weight in (None, torch.tensor([1.0, 10.0, 1.0])):
    by_label, by_row = F.cross_entropy(logits, labels, weight=weight), F.cross_entropy(logits, rows, weight=weight)
    print(f"weight {weight}: labels {by_label:.4f}, one-hot rows {by_row:.4f}")
    assert torch.allclose(by_label, by_row) == (weight is None), "both divide by the same now"
assert torch.allclose(by_row / by_label, torch.tensor(5.5))
PYTHON
