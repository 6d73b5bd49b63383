"""Recommendation: from a history of external ids to item indexes, and from scores to the best items.

    {"history": ["85123A", "71053"], "k": 10, "exclude": ["22423"]}
      → history int64 [1, length], padded with 0 on the left, the most recent item last
      → scores float32 [1, items], column j for the item of index j + 1
      → {"items": [{"id", "title", "score"}, …], "source": "model", "known": 2, "unknown": []}

A model that knows users instead takes `{"user": 17}` and has an input `user`, int64 [1].
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from inference.configs import RecommendationConfig
from inference.errors import InputTooLarge, InvalidInput, Unsupported, counted
from inference.processors.base import StackingProcessor, check_ids, check_length
from inference.processors.catalogue import Catalogue, ItemId, Items, indexes_of, read_ids, read_items
from inference.processors.occlusion import AttributionTarget, Explanation, Variants, check_names, rounded
from inference.values import Array, Features, JsonValue, Payload, Prediction, Tensors

if TYPE_CHECKING:
    from inference.store.bundle import Bundle

HISTORY, USER, SCORES = "history", "user", "scores"
LENGTH, UNKNOWN_SHARE, TOP_RANK = "length", "unknown_share", "top_rank"
EXAMPLE = '{"history": [ids], "k": 10, "exclude": [ids]}'
USER_EXAMPLE = '{"user": id, "k": 10, "exclude": [ids]}'


class Wish(NamedTuple):
    """One request, in item indexes from 1: `known` is the part of the history in the catalogue, oldest first."""

    user: int
    known: Array
    unknown: tuple[ItemId, ...]
    exclude: Array
    k: int


class RecommendationProcessor(StackingProcessor):
    """Looks ids up, pads, and picks the best `k`; anything else is in the graph."""

    media_types: tuple[str, ...] = ()
    summary_features: tuple[str, ...] = (LENGTH, UNKNOWN_SHARE, TOP_RANK)

    def __init__(self, config: RecommendationConfig, items: Items) -> None:
        self.config, self.catalogue = config, Catalogue(items)

    @classmethod
    def from_bundle(cls, bundle: "Bundle") -> Self:
        """Read the parameters from the manifest and the catalogue from `items.json`."""
        config = bundle.manifest.processor
        if not isinstance(config, RecommendationConfig):
            raise TypeError(f"got a {config.kind} processor, expected a recommendation processor")
        return cls(config, read_items(bundle, bundle.columns(SCORES)))

    def decode(self, payload: Payload) -> Wish:
        """Check the instance and look its ids up; unknown ids of a history are kept apart, not refused."""
        field, value = payload.field, payload.data
        subject, example = (USER, USER_EXAMPLE) if self.config.subject == "user" else (HISTORY, EXAMPLE)
        if not isinstance(value, dict) or subject not in value:
            raise InvalidInput(field, value, f"an object {example}")
        if surplus := sorted(value.keys() - {subject, "k", "exclude"}):
            raise InvalidInput(
                f"{field}.{surplus[0]}", value[surplus[0]], f"nothing; an instance is {example}"
            )
        k = _read_k(value.get("k", self.config.default_k), self.config.max_k, f"{field}.k")
        exclude = self.catalogue.look_up(read_ids(value.get("exclude", []), f"{field}.exclude"))[0]
        if self.config.subject == "user":
            return Wish(self.catalogue.user(value[USER], f"{field}.{USER}"), indexes_of([]), (), exclude, k)
        known, unknown = self.catalogue.look_up(read_ids(value[HISTORY], f"{field}.{HISTORY}"))
        return Wish(0, known, unknown, exclude, k)

    def preprocess(self, decoded: Wish) -> Features:
        """`history` int64 [1, length ≥ 1], the newest `max_history` items; or `user` int64 [1]."""
        if self.config.subject == "user":
            return Features({USER: np.array([decoded.user], np.int64)}, decoded)
        recent = decoded.known[-self.config.max_history :]
        history = recent if len(recent) else indexes_of([0])
        return Features({HISTORY: history.reshape(1, -1)}, decoded)

    def check(self, tensors: Tensors) -> None:
        """At most `max_history` items, each 0 (padding) or one of the catalogue; a user that the model knows."""
        if HISTORY not in tensors:
            check_ids(tensors[USER], USER, len(self.catalogue.items.users))
            return
        check_length(tensors[HISTORY], HISTORY, self.config.max_history)
        check_ids(tensors[HISTORY], HISTORY, len(self.catalogue.items.ids) + 1)

    def bucket(self, tensors: Tensors) -> Hashable:
        """Histories whose lengths round up to the same power of two: padding at most doubles a row."""
        return (tensors[HISTORY].shape[1] - 1).bit_length() if HISTORY in tensors else 0

    def collate(self, parts: Sequence[Tensors]) -> Tensors:
        """One batch, histories padded with 0 on the left to the longest."""
        if HISTORY not in parts[0]:
            return super().collate(parts)
        return {HISTORY: pad_left([part[HISTORY] for part in parts])}

    def postprocess(self, outputs: Tensors, context: Wish) -> Prediction:
        """The best items that are not left out, best first.

        `source` is "model", or "popularity" where nothing of the history is known: the score is then the number of
        training baskets with the item.
        """
        scores = self._scores(outputs, context)
        answer: Prediction = {
            "items": [self._item(column, scores) for column in self.best(scores, context)],
            "source": "popularity" if self._says_nothing(context) else "model",
        }
        if self.config.subject == HISTORY:
            answer.update(known=len(context.known), unknown=list(context.unknown))
        return answer

    def summarise(self, features: Features, outputs: Tensors) -> dict[str, Array]:
        """Items of the history that the model reads, the share of unknown ones, and the popularity rank, from 1, of
        the item with the highest score.

        That item may be one that the answer leaves out: the rank is the graph's own, the same for every client.
        """
        found: dict[str, Array] = {TOP_RANK: self.catalogue.rank[outputs[SCORES].argmax(axis=1)]}
        if HISTORY in features.tensors:
            found[LENGTH] = (features.tensors[HISTORY] != 0).sum(axis=1)
            wish = features.context
            if isinstance(wish, Wish):
                found[UNKNOWN_SHARE] = np.array(
                    [len(wish.unknown) / max(1, len(wish.unknown) + len(wish.known))]
                )
        return found

    def best(self, scores: Array, wish: Wish) -> list[int]:
        """Columns of the `k` largest of scores float32 [items], best first, the lower column first in a tie."""
        hidden = np.concatenate([wish.exclude, wish.known]) if self.config.filter_history else wish.exclude
        if len(hidden):
            scores = scores.copy()
            scores[hidden - 1] = -np.inf
        # A partition first: sorting 3,659 scores takes ten times as long.
        most = min(wish.k, len(scores) - len(np.unique(hidden)))  # an item may be in the history and excluded
        if most <= 0:
            return []
        edge = np.partition(scores, -most)[-most]
        columns = np.flatnonzero(scores >= edge)
        order = np.argsort(-scores[columns], kind="stable")
        chosen: list[int] = columns[order][:most].tolist()
        return chosen

    def variants(self, decoded: Wish, parameters: Mapping[str, JsonValue]) -> Variants:
        """The history with one of the items that are used left out at a time; none where nothing of it is known."""
        check_names(parameters)
        if self.config.subject == USER:
            raise Unsupported(
                "this model knows users and not what they did, so there is nothing to leave out"
            )
        used = decoded.known[-self.config.max_history :]

        def without(part: int) -> Tensors:
            return self.preprocess(decoded._replace(known=np.delete(used, part))).tensors

        return Variants(self.preprocess(decoded), len(used), without, used)

    def target(self, outputs: Tensors, variants: Variants) -> AttributionTarget:
        """The score of the best item that is not left out."""
        wish: Wish = variants.whole.context
        best = self.best(self._scores(outputs, wish), wish)
        if not best:
            raise InvalidInput(
                "exclude", counted(len(wish.exclude), "item"), "an item that is left to recommend"
            )
        return AttributionTarget(SCORES, best[0])

    def attribute(
        self, outputs: Tensors, variants: Variants, target: AttributionTarget, drops: Array
    ) -> Explanation:
        """The best item, and how far its score drops with each item of the history, oldest first."""
        wish: Wish = variants.whole.context
        columns = variants.parts - 1
        return {
            "item": self._item(target.column, self._scores(outputs, wish)),
            "source": "popularity" if self._says_nothing(wish) else "model",
            "history": [
                {**self.catalogue.describe(column), "drop": drop}
                for column, drop in zip(columns, rounded(drops), strict=True)
            ],
            "unknown": list(wish.unknown),
        }

    def _says_nothing(self, wish: Wish) -> bool:
        return self.config.subject == HISTORY and not len(wish.known)

    def _scores(self, outputs: Tensors, wish: Wish) -> Array:
        """The scores by which the items are ranked, float32 [items]."""
        scores = self.catalogue.popularity if self._says_nothing(wish) else outputs[SCORES][0]
        return scores.astype(np.float32)

    def _item(self, column: int, scores: Array) -> dict[str, Any]:
        return {**self.catalogue.describe(column), "score": round(float(scores[column]), 4)}


def pad_left(histories: Sequence[Array]) -> Array:
    """Arrays int64 [rows, length] of several lengths as one [all rows, longest], filled up with 0 on the left."""
    longest = max(history.shape[1] for history in histories)
    batch: Array = np.zeros((sum(map(len, histories)), longest), np.int64)
    row = 0
    for history in histories:
        batch[row : row + len(history), longest - history.shape[1] :] = history
        row += len(history)
    return batch


def _read_k(k: object, most: int, field: str) -> int:
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise InvalidInput(field, k, f"a whole number from 1 to {most}")
    if k > most:
        raise InputTooLarge(field, k, f"a whole number from 1 to {most}")
    return k
