#!/usr/bin/env bash
# Training a WordPiece tokenizer twice on one text gives two vocabularies.
#
# With: tokenizers 0.23.3, Python 3.11.
# Expected: the same text, the same trainer, no sampling: the same vocabulary, as the BPE, Unigram and
#   WordLevel trainers of the library give.
# Seen: 20 trainings, 19 vocabularies. The pieces "##a", "##b", ... get their ids in the order of a hash
#   map, anew in each training; where counts tie, merges follow it too. A retrained tokenizer does not
#   fit the weights of the last one, and a run is not repeated by its seed.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    tokenizers==0.23.3

"$work/venv/bin/python" - <<'PYTHON'
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

TEXTS = ["the cat sat on the mat", "a dog and a cat", "they sat down"] * 5
KINDS = {
    "WordPiece": (models.WordPiece, trainers.WordPieceTrainer),
    "BPE": (models.BPE, trainers.BpeTrainer),
    "WordLevel": (models.WordLevel, trainers.WordLevelTrainer),
}


def vocabulary(kind):
    model, trainer = KINDS[kind]
    tokenizer = Tokenizer(model(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(TEXTS, trainer(vocab_size=60, special_tokens=["[UNK]"], show_progress=False))
    return tuple(sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1]))


different = {kind: len({vocabulary(kind) for _ in range(20)}) for kind in KINDS}
print("different vocabularies in 20 trainings:", different)
for _ in range(2):
    print("ids of WordPiece:", vocabulary("WordPiece")[14:20])
assert different["BPE"] == different["WordLevel"] == 1
assert different["WordPiece"] > 1, "WordPiece repeats itself now"
PYTHON
