#!/usr/bin/env bash
# WeightedRandomSampler without replacement draws rows of weight 0 once the others are used up.
#
# With: torch 2.13.0 (CPU), Python 3.11.
# Expected: a weight of 0 means never (masked rows, rows of a held-out class). If more are asked for than
#   have a weight, torch.multinomial raises: its documentation says the number of samples must not exceed
#   the number of non-zero entries.
# Seen: weights [0, 0, 1, 1] and 3 draws: rows 2 and 3, and one of rows 0 and 1. No error: held-out
#   rows reach the training.
# Source: https://docs.pytorch.org/docs/stable/generated/torch.multinomial.html,
#   https://github.com/pytorch/pytorch/issues/125388 and /50034
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    torch==2.13.0 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import torch
from torch.utils.data import WeightedRandomSampler

torch.manual_seed(0)
weights = torch.tensor([0.0, 0.0, 1.0, 1.0])
draws = [sorted(WeightedRandomSampler(weights, 3, replacement=False)) for _ in range(20)]
print("20 times 3 of", weights.tolist(), "without replacement:", draws[:4], "...")
print("torch.multinomial:", torch.multinomial(weights, 3, replacement=False).tolist())
assert all({2, 3} < set(draw) and {0, 1} & set(draw) for draw in draws), "rows of weight 0 are not drawn now"

with_replacement = list(WeightedRandomSampler(weights, 1000, replacement=True))
assert set(with_replacement) == {2, 3}
PYTHON
