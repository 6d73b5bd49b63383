#!/usr/bin/env bash
# ReduceLROnPlateau takes a constant negative loss for an improvement, for ever.
#
# With: torch 2.13.0 (CPU), Python 3.11.
# Expected: a loss that does not move lowers the learning rate after `patience` steps, whatever its sign.
#   The default threshold (1e-4, relative) asks for a small improvement on top.
# Seen: the threshold is best * (1 - 1e-4) with mode="min": for a best of -1 that is -0.9999, which -1
#   again is below. Fifty steps at -1.0 leave the rate as it was (at +1.0 it falls to 1e-8), and so does a
#   loss that rises slowly from -1. mode="max" has the same with scores below zero. Log-likelihoods of
#   densities, cosine losses and negative rewards are such losses. threshold_mode="abs" is right.
# Source: https://github.com/pytorch/pytorch/issues/47513
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    torch==2.13.0 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import torch


def rate_after(values, **options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=2, **options)
    for value in values:
        schedule.step(value)
    return optimizer.param_groups[0]["lr"]


positive = rate_after([1.0] * 50)
negative = rate_after([-1.0] * 50)
rising = rate_after([-1.0 + 5e-5 * step for step in range(50)])
score = rate_after([-1.0] * 50, mode="max")
absolute = rate_after([-1.0] * 50, threshold_mode="abs")
print(f"rate after 50 steps: loss of 1: {positive:.0e}; of -1: {negative}; rising from -1 by 5e-5 a step: {rising}; "
      f"score of -1 with mode=max: {score}; loss of -1 with threshold_mode=abs: {absolute:.0e}")
assert positive < 1e-6 and absolute < 1e-6
assert negative == rising == score == 1.0, "a plateau below zero is seen now"
PYTHON
