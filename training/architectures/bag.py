"""Bag of n-grams: one weight a word and a word pair, hashed into a table, summed up. A linear model.

    int64 ids [n, length]
      → unigrams, bigrams … hashed to buckets, each once a text   [n, grams]
      → a row of the table for each                               [n, grams, columns]
      → sum, plus a bias                                          [n, columns]
      → logits                                                    [n, classes]

    row of the table = ratio · (weight + prior), where only `weight` is learned

`ratio` is the naive Bayes log-count ratio of Wang & Manning 2012 ("Baselines and Bigrams", aclanthology.org/P12-2018):
log of how much likelier a text of the class is to hold the n-gram than one of another class. It starts the
model as naive Bayes, and lets n-grams that tell the classes apart learn faster than those that do not. That
each n-gram counts once however often it occurs is theirs too. Hashing in place of a dictionary is from
Weinberger et al. 2009 (arXiv:0902.2206); two n-grams in one bucket share their weight, and with millions of
buckets that rarely matters. It is the classic that neural models on a few ten thousand texts have to beat.

Two classes need one number, the log-odds s: the logits are (-s/2, s/2).
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from training.architectures.base import TextNetwork
from training.architectures.words import PAD

# A product of numbers below 2³¹ and 2³² stays inside int64, so that ONNX and PyTorch agree on every bit.
MODULUS = (1 << 31) - 1  # a prime
ORDER_FACTOR = 1_000_003
SPREAD_FACTOR = 2_654_435_761  # Knuth's multiplicative hash: 2³² over the golden ratio

SMOOTHING = 1.0
"""Texts added to every count (Wang & Manning 2012): an n-gram of one class alone has a finite ratio."""


def hash_ngrams(ids: Tensor, longest: int, buckets: int) -> Tensor:
    """int64 ids [n, length] → int64 [n, grams]: the bucket of every n-gram of 1 … `longest` words.

    n-grams that reach into the padding, and every repetition of one, get the number `buckets`.
    """
    found, gram, words = [], ids, ids != PAD
    for size in range(1, longest + 1):
        if size > 1:
            words = words[:, :-1] & (ids[:, size - 1 :] != PAD)
            gram = (gram[:, :-1] * ORDER_FACTOR + ids[:, size - 1 :]) % MODULUS
        bucket = (gram * SPREAD_FACTOR + size) % MODULUS % buckets
        found.append(torch.where(words, bucket, buckets))
    ordered = torch.cat(found, 1).sort(1).values
    fresh = torch.nn.functional.pad(ordered[:, 1:] != ordered[:, :-1], (1, 0), value=True)
    return torch.where(fresh, ordered, buckets)


class BagOfNgrams(TextNetwork):
    """The table, factored into counts and learned weights. The last row belongs to no n-gram: zero."""

    ratio: Tensor

    def __init__(self, classes: int, longest: int, buckets: int, prior: float, dropout: float) -> None:
        super().__init__()
        columns = 1 if classes == 2 else classes
        self.classes, self.longest, self.buckets, self.prior = classes, longest, buckets, prior
        self.weight = nn.Parameter(torch.zeros(buckets + 1, columns))
        self.bias = nn.Parameter(torch.zeros(columns))
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("ratio", torch.ones(buckets + 1, columns))
        self.ratio[buckets] = 0

    def forward(self, ids: Tensor) -> Tensor:
        grams = hash_ngrams(ids, self.longest, self.buckets)
        rows = self.ratio[grams] * (self.weight[grams] + self.prior)
        return as_logits(self.dropout(rows).sum(1) + self.bias)

    def prepare(self, texts: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set the ratios."""
        counts = torch.zeros(self.classes, self.buckets + 1)
        for ids, labels in texts:
            grams = hash_ngrams(ids, self.longest, self.buckets)
            places = labels[:, None] * (self.buckets + 1) + grams
            counts += torch.bincount(places.flatten(), minlength=counts.numel()).view_as(counts)
        counts[:, self.buckets] = 0
        self.ratio.copy_(log_count_ratio(counts, SMOOTHING)[-self.ratio.shape[1] :].T)
        # Divided so that a typical ratio is 0.1: Adam's steps on the weights are then of a good size.
        self.ratio /= 10

    def deployed(self) -> nn.Module:
        """The same function with the table multiplied out, half as big."""
        with torch.no_grad():
            return FoldedBag(self, self.ratio * (self.weight + self.prior))


class FoldedBag(nn.Module):
    """A bag of n-grams with one table; for inference only."""

    table: Tensor
    bias: Tensor

    def __init__(self, bag: BagOfNgrams, table: Tensor) -> None:
        super().__init__()
        self.longest, self.buckets = bag.longest, bag.buckets
        self.register_buffer("table", table)
        self.register_buffer("bias", bag.bias.detach())

    def forward(self, ids: Tensor) -> Tensor:
        return as_logits(self.table[hash_ngrams(ids, self.longest, self.buckets)].sum(1) + self.bias)


def log_count_ratio(counts: Tensor, smoothing: float) -> Tensor:
    """Float [classes, buckets] texts that hold an n-gram → log odds of it in the class against the others.

    0 for an n-gram that was never seen.
    """
    seen = counts.sum(0) > 0
    inside = counts + smoothing
    outside = counts.sum(0) - counts + smoothing
    odds = inside / inside.sum(1, keepdim=True)
    against = outside / outside.sum(1, keepdim=True)
    return torch.where(seen, (odds / against).log(), 0.0)


def as_logits(scores: Tensor) -> Tensor:
    """Float [n, classes] as it is; one column, the log-odds s of the second of two classes, as (-s/2, s/2)."""
    return torch.cat([-scores / 2, scores / 2], 1) if scores.shape[1] == 1 else scores
