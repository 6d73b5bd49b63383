"""Learning a tokenizer from the training texts: `tokenizer.json` of the bundle.

    text → NFKC, lower case, line-break tags to spaces → words, numbers and single marks → ids

Ids begin with the padding, then the word that stands for every unknown one.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Literal

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from training.data.writing import LOOKED_AT, Writing, look_at

PAD_TOKEN, UNKNOWN_TOKEN = "<pad>", "<unk>"
PAD_ID, UNKNOWN_ID = 0, 1
Kind = Literal["words", "pieces"]

# A text may hold the unknown word itself where somebody else has tokenized it, as in AG News.
_LINE_BREAK = Regex(r"<br ?/?>")
_WORD = Regex(r"<unk>|\w+(?:'\w+)*|[^\w\s]")


def choose_kind(texts: Sequence[str]) -> tuple[Kind, Writing]:
    """`words` where blanks and marks divide the texts into words, else `pieces`; the same texts give the same kind."""
    step = max(1, len(texts) // LOOKED_AT)
    writing = look_at(texts[row] for row in range(0, len(texts), step))
    return ("words" if writing.separates else "pieces"), writing


def train_tokenizer(texts: Iterable[str], kind: Kind, vocabulary: int, min_count: int = 2) -> Tokenizer:
    """At most `vocabulary` ids, the most frequent first; the same texts give the same tokenizer.

    min_count: occurrences that an id needs. Of a word seen once, a vector cannot be told from chance.

    words: one id a word. pieces: byte-pair encoding within words (Sennrich et al. 2016, arXiv:1508.07909), so
    that rare words are spelled from parts; a piece that begins a word begins with a low line.
    """
    learned = _empty(models.WordLevel({}, UNKNOWN_TOKEN) if kind == "words" else models.BPE(), kind)
    learned.train_from_iterator(texts, _trainer(kind, vocabulary, min_count))
    model = json.loads(learned.to_str())["model"]
    ids = _numbered(model["vocab"])
    if kind == "words":
        return _empty(models.WordLevel(ids, UNKNOWN_TOKEN), kind)
    merges = [tuple(pair) for pair in model["merges"]]
    return _empty(models.BPE(ids, merges, unk_token=UNKNOWN_TOKEN), kind)


def _numbered(vocabulary: dict[str, int]) -> dict[str, int]:
    """The same words in the same order, after the padding and the unknown word.

    The trainer would give the unknown word another id where the texts hold it, and would find both inside
    any text that is tokenized later; a tokenizer made of the words alone does neither.
    """
    words = sorted(vocabulary.keys() - {PAD_TOKEN, UNKNOWN_TOKEN}, key=vocabulary.__getitem__)
    return {word: number for number, word in enumerate((PAD_TOKEN, UNKNOWN_TOKEN, *words))}


def _empty(model: models.Model, kind: Kind) -> Tokenizer:
    """A tokenizer without words, which normalises and splits every text alike."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace(_LINE_BREAK, " ")]
    )
    words = pre_tokenizers.Split(_WORD, "removed", invert=True)
    # Marking a word's beginning in the text keeps the alphabet in order; the trainer's own prefix for pieces
    # that continue one numbers them differently in every run.
    begin = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    tokenizer.pre_tokenizer = words if kind == "words" else pre_tokenizers.Sequence([words, begin])
    return tokenizer


def _trainer(kind: Kind, vocabulary: int, min_count: int) -> trainers.Trainer:
    make = trainers.WordLevelTrainer if kind == "words" else trainers.BpeTrainer
    special = [PAD_TOKEN, UNKNOWN_TOKEN]
    return make(vocab_size=vocabulary, min_frequency=min_count, special_tokens=special, show_progress=False)
