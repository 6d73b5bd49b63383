"""The recommenders: their builders with the options, and their records.

    build(catalogue, *, …) → Recommender

The keyword options are all that `--model` (or the `[model]` table of a configuration) may set.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from training.architectures.record import Architecture

if TYPE_CHECKING:
    from training.architectures.base import CatalogueSpec
    from training.architectures.matrix_factorisation import MatrixFactorisation
    from training.architectures.neumf import NeuMF
    from training.architectures.sasrec import SASRec
    from training.architectures.two_towers import TwoTowers


def mf(
    catalogue: "CatalogueSpec", *, width: int = 192, spread: float = 0.1, l2: float = 0.005
) -> "MatrixFactorisation":
    """spread: standard deviation of the initial vectors; l2: on each vector, each time that it is drawn."""
    from training.architectures.matrix_factorisation import MatrixFactorisation

    return MatrixFactorisation(catalogue.users, catalogue.items, width, spread, l2)


def neumf(
    catalogue: "CatalogueSpec",
    *,
    width: int = 32,
    layers: Sequence[int] = (128, 64, 32),
    dropout: float = 0.0,
    spread: float = 0.01,
    l2: float = 0.0,
) -> "NeuMF":
    """width: factors of GMF; layers: of the MLP, first its input (user and item half each).

    spread: standard deviation of the initial vectors; l2: on the vectors of a pair, each time that it is drawn.
    """
    from training.architectures.neumf import NeuMF

    return NeuMF(catalogue.users, catalogue.items, width, layers, dropout, spread, l2)


def two_towers(
    catalogue: "CatalogueSpec",
    *,
    width: int = 64,
    dropout: float = 0.3,
    repeat: bool = True,
) -> "TwoTowers":
    """width: of both vectors. repeat: with the term for buying again."""
    from training.architectures.two_towers import TwoTowers, title_words

    words = title_words(catalogue.titles) if any(catalogue.titles) else None
    return TwoTowers(catalogue.items, catalogue.length, words, width, dropout, repeat)


def sasrec(
    catalogue: "CatalogueSpec",
    *,
    width: int = 64,
    depth: int = 2,
    heads: int = 1,
    expansion: int = 1,
    dropout: float = 0.2,
    sampled: int = 0,
) -> "SASRec":
    """`heads` divides `width`.

    sampled: items that are drawn for the softmax of a training step; 0: the whole catalogue.
    """
    from training.architectures.sasrec import SASRec

    return SASRec(catalogue.items, catalogue.length, width, depth, heads, expansion, dropout, sampled)


ARCHITECTURES = (
    Architecture(
        "mf",
        "recommendation",
        mf,
        "a vector for each user and item, and their dot product: knows its users, not new ones",
        "Koren, Bell & Volinsky 2009, doi:10.1109/MC.2009.263; Rendle et al. 2020, arXiv:2005.09683",
        example_kind="users",
        no_start="vision, text and neumf only: a recommender's weights belong to its items and users",
    ),
    Architecture(
        "neumf",
        "recommendation",
        neumf,
        "matrix factorisation beside a multilayer perceptron on the pair: knows its users, not new ones",
        "He, Liao, Zhang, Nie, Hu & Chua 2017, arXiv:1708.05031",
        example_kind="pairs",
    ),
    Architecture(
        "two-towers",
        "recommendation",
        two_towers,
        "a vector of the history and one of each item, from ids and titles, with a term for buying again",
        "Covington, Adams & Sargin 2016, doi:10.1145/2959100.2959190; Yi et al. 2019, doi:10.1145/3298689.3346996",
        example_kind="baskets",
        embedded="shop",
        no_start="vision, text and neumf only: a recommender's weights belong to its items and users",
    ),
    Architecture(
        "sasrec",
        "recommendation",
        sasrec,
        "a causal Transformer over the history, trained with the full softmax at every position",
        "Kang & McAuley 2018, arXiv:1808.09781; Klenitskiy & Vasilev 2023, arXiv:2309.07602",
        example_kind="sequences",
        no_start="vision, text and neumf only: a recommender's weights belong to its items and users",
    ),
)
