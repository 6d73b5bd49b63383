#!/usr/bin/env bash
# SSIM in torchmetrics: a pair of images scores differently in other company, and a blank pair is NaN.
#
# With: torchmetrics 1.9.0, torch 2.13.0 (CPU), Python 3.11.
# Expected: reduction="none" gives each pair's own score; the score of a pair is a property of the pair,
#   and 1 for two equal images.
# Seen: data_range, if not given, is the largest range found in the batch. A dark pair scores 0.9849
#   alone and 0.9867 beside a bright one. Two equal blank images have a range of 0: NaN, which makes the
#   mean over the data set NaN. With data_range=1.0 all is well: 1 for the blank pair.
# Source: https://lightning.ai/docs/torchmetrics/stable/image/structural_similarity.html (data_range)
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    torch==2.13.0 torchmetrics==1.9.0 scikit-learn==1.9.1 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import torch
from torchmetrics.functional.image import structural_similarity_index_measure as ssim

torch.manual_seed(0)
dark = torch.rand(1, 1, 32, 32) * 0.2
noisy = dark + 0.01 * torch.randn_like(dark)
bright = torch.linspace(0, 1, 32 * 32).reshape(1, 1, 32, 32)
blank = torch.full_like(dark, 0.5)

alone = ssim(noisy, dark, reduction="none")[0].item()
beside = ssim(torch.cat([noisy, bright]), torch.cat([dark, bright]), reduction="none")[0].item()
print(f"the dark pair alone {alone:.4f}, beside a bright pair {beside:.4f}")
print(f"a blank image and itself: {ssim(blank, blank).item()}, with data_range=1.0: {ssim(blank, blank, data_range=1.0).item()}")
assert abs(alone - beside) > 1e-3, "a pair's score is its own now"
assert ssim(blank, blank).isnan() and ssim(blank, blank, data_range=1.0) == 1
PYTHON
