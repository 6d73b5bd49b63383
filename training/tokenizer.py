"""Learning a tokenizer from the training texts: what becomes `tokenizer.json` in the bundle.

    text → NFKC, lower case, line-break tags to spaces → words, numbers and single marks → ids

Ids begin with the padding, then the word that stands for every unknown one.
"""

from collections.abc import Sequence
from typing import Literal

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

PAD_TOKEN, UNKNOWN_TOKEN = "<pad>", "<unk>"
PAD_ID, UNKNOWN_ID = 0, 1
MIN_COUNT = 2
"""A word seen once in training cannot be told from chance."""

Kind = Literal["words", "pieces"]

# A text may hold the unknown word itself where somebody else has tokenized it, as in AG News.
_LINE_BREAK = Regex(r"<br ?/?>")
_WORD = Regex(r"<unk>|\w+(?:'\w+)*|[^\w\s]")


def train_tokenizer(texts: Sequence[str], kind: Kind, vocabulary: int) -> Tokenizer:
    """At most `vocabulary` ids, the most frequent first; the same texts give the same tokenizer.

    words: one id a word. pieces: byte-pair encoding within words (Sennrich et al. 2016, arXiv:1508.07909), so
    that rare words are spelled from parts.
    """
    tokenizer = Tokenizer(_model(kind))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace(_LINE_BREAK, " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(_WORD, "removed", invert=True)
    tokenizer.train_from_iterator(texts, _trainer(kind, vocabulary), length=len(texts))
    return tokenizer


def _model(kind: Kind) -> models.Model:
    if kind == "words":
        return models.WordLevel(vocab={}, unk_token=UNKNOWN_TOKEN)
    return models.BPE(unk_token=UNKNOWN_TOKEN, continuing_subword_prefix="##")


def _trainer(kind: Kind, vocabulary: int) -> trainers.Trainer:
    special = [PAD_TOKEN, UNKNOWN_TOKEN]
    if kind == "words":
        return trainers.WordLevelTrainer(
            vocab_size=vocabulary, min_frequency=MIN_COUNT, special_tokens=special, show_progress=False
        )
    return trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=MIN_COUNT,
        special_tokens=special,
        continuing_subword_prefix="##",
        show_progress=False,
    )
