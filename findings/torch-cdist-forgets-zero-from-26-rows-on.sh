#!/usr/bin/env bash
# torch.cdist of rows with themselves is 0 for 25 rows and not for 26.
#
# With: torch 2.13.0 (CPU), Python 3.11.
# Expected: a vector's distance to itself is 0, and the distance of two rows does not depend on how many
#   other rows are in the call.
# Seen: from 26 rows on the default takes the matrix product, |a|^2 + |b|^2 - 2ab, which cancels: rows
#   of 64 around 100 are 0.5 away from themselves, unit embeddings of 384 dimensions 7e-4. A search for
#   duplicates with a threshold finds them in small batches and not in large ones.
#   compute_mode="donot_use_mm_for_euclid_dist" is exact at any size.
# Source: https://docs.pytorch.org/docs/stable/generated/torch.cdist.html (compute_mode; the bound of 25)
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    torch==2.13.0 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import torch

torch.manual_seed(0)
rows = torch.randn(26, 64) + 100
unit = torch.nn.functional.normalize(torch.randn(26, 384))
for name, vectors in (("around 100", rows), ("unit length", unit)):
    own = {n: torch.cdist(vectors[:n], vectors[:n]).diagonal().max().item() for n in (25, 26)}
    exact = torch.cdist(vectors, vectors, compute_mode="donot_use_mm_for_euclid_dist").diagonal().max().item()
    print(f"{name}: largest distance of a row to itself among 25 rows {own[25]}, among 26 {own[26]:.2g}, exact mode {exact}")
    assert own[25] == 0 and exact == 0
    assert own[26] > 1e-4, "26 rows are exact now"
PYTHON
