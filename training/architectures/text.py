"""The architectures for texts: their builders with the options, and their records.

    build(words, classes, *, …) → TextNetwork

The keyword options are all that `--model` (or the `[model]` table of a configuration) may set.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from training.architectures.record import Architecture

if TYPE_CHECKING:
    from training.architectures.bag import BagOfNgrams
    from training.architectures.lstm import RecurrentReader
    from training.architectures.textcnn import TextCNN
    from training.architectures.transformer import TransformerEncoder
    from training.architectures.words import Words


def bag(
    words: "Words",
    classes: int,
    *,
    ngrams: int = 2,
    buckets: int = 0,
    prior: float = 0.4,
    dropout: float = 0.0,
    by_length: bool = False,
) -> "BagOfNgrams":
    """ngrams: longest n-gram in words. prior: share of naive Bayes to begin with.

    buckets: rows of the table; 0: 1,048,576, or fewer with more than 32 classes.
    by_length: ratios are divided by the score of a typical text, and not by 10, which suits a long one: three words are
    then as good a beginning as three hundred, and learn as fast.
    """
    from training.architectures.bag import BagOfNgrams, buckets_for

    table = buckets or buckets_for(classes)
    return BagOfNgrams(classes, ngrams, table, prior, dropout, by_length=by_length)


def textcnn(
    words: "Words",
    classes: int,
    *,
    width: int = 128,
    filters: int = 100,
    sizes: Sequence[int] = (3, 4, 5),
    dropout: float = 0.5,
    spread: float = 0.25,
    bag: int = 0,
) -> "TextCNN":
    """width: of a word's vector. filters: of each size. sizes: in words.

    spread: the vectors begin between -spread and spread. The paper's 0.25 (section 3.3) is the spread of word2vec's;
    where there are only random ones, less of it leaves less to be unlearned.
    bag: most buckets of a bag of words and word pairs beside the filters; 0: none.
    """
    from training.architectures.bag import buckets_for
    from training.architectures.textcnn import TextCNN

    return TextCNN(words, classes, width, filters, sizes, dropout, spread, min(bag, buckets_for(classes)))


def lstm(
    words: "Words",
    classes: int,
    *,
    width: int = 100,
    hidden: int = 128,
    dropout: float = 0.4,
    both: bool = True,
) -> "RecurrentReader":
    """width: of a word's vector. hidden: of the memory. both: read backwards too."""
    from training.architectures.lstm import RecurrentReader

    return RecurrentReader(words, classes, "lstm", width, hidden, dropout, both)


def gru(
    words: "Words",
    classes: int,
    *,
    width: int = 100,
    hidden: int = 128,
    dropout: float = 0.4,
    both: bool = True,
) -> "RecurrentReader":
    """The same with gated recurrent units."""
    from training.architectures.lstm import RecurrentReader

    return RecurrentReader(words, classes, "gru", width, hidden, dropout, both)


def transformer(
    words: "Words",
    classes: int,
    *,
    width: int = 96,
    depth: int = 2,
    heads: int = 4,
    dropout: float = 0.2,
) -> "TransformerEncoder":
    """width: of a word's vector, divisible by `heads`. depth: layers."""
    from training.architectures.transformer import TransformerEncoder

    return TransformerEncoder(words, classes, width, depth, heads, dropout)


ARCHITECTURES = (
    Architecture(
        "bag",
        "text",
        bag,
        "hashed words and word pairs, weighted by naive Bayes and then by gradient: linear, cheap, hard to beat",
        "Wang & Manning 2012, aclanthology.org/P12-2018",
        embedded="tickets",
        no_start="a bag has no head to replace: its table is counted from its own texts",
        no_pruning="a bag's weights correct naive Bayes: zero is a correction of none, not an absence",
    ),
    Architecture(
        "textcnn",
        "text",
        textcnn,
        "filters over three to five words, and the strongest answer of each",
        "Kim 2014, arXiv:1408.5882",
    ),
    Architecture(
        "lstm",
        "text",
        lstm,
        "reads the words in order, both ways, with a gated memory",
        "Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735",
        bf16_pays=True,
    ),
    Architecture(
        "gru",
        "text",
        gru,
        "the same with one gate less",
        "Cho et al. 2014, arXiv:1406.1078",
    ),
    Architecture(
        "transformer",
        "text",
        transformer,
        "an encoder in which every word attends to every other",
        "Vaswani et al. 2017, arXiv:1706.03762",
    ),
)
