#!/usr/bin/env bash
# A BPE tokenizer without an unknown token drops what it does not know; the other models raise.
#
# With: tokenizers 0.23.3, Python 3.11.
# Expected: a text with a letter outside the vocabulary, and no unk_token: an error, as WordPiece and
#   WordLevel raise, or a token that stands for it.
# Seen: BPE leaves the letter out. "ab", "zab" and "abz" have the same ids, "zzz" has none, and nobody is told;
#   offsets skip the place. A text in another script is an empty row for the model.
# Source: https://huggingface.co/docs/tokenizers/api/models (unk_token)
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    tokenizers==0.23.3

"$work/venv/bin/python" - <<'PYTHON'
from tokenizers import Tokenizer, models

words = {"a": 0, "b": 1, "ab": 2}
bpe = Tokenizer(models.BPE(words, [("a", "b")]))
ids = {text: bpe.encode(text).ids for text in ("ab", "zab", "abz", "zzz")}
print("BPE:", ids, "offsets of abz:", bpe.encode("abz").offsets)
assert ids == {"ab": [2], "zab": [2], "abz": [2], "zzz": []}, "unknown letters show now"

for name, other in (("WordLevel", Tokenizer(models.WordLevel(words))), ("WordPiece", Tokenizer(models.WordPiece(words)))):
    try:
        other.encode("zzz")
    except Exception as error:
        print(f"{name}: {error}")
    else:
        raise AssertionError(f"{name} used to raise")
PYTHON
