"""The catalogue of a recommender: the items and users that its graph knows, by their external ids."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from inference.configs import SOON, Prose, Record
from inference.errors import InvalidInput, ManifestInvalid
from inference.values import Array

if TYPE_CHECKING:
    from inference.store.bundle import Bundle


ITEMS_FILE = "items.json"

ItemId = Annotated[str, Field(max_length=1 << 16)] | Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]
"""As JSON has it; a whole number has 64 bits."""


class Items(Record):
    """The content of `items.json`: the entry at place i of each list is the item of index i + 1.

    popularity: how many training baskets held it, which answers an empty history. users: the external ids in
    order, for a model that knows users.
    """

    ids: Annotated[tuple[ItemId, ...], SOON]
    titles: Annotated[tuple[Prose, ...], SOON]
    popularity: Annotated[tuple[Annotated[float, Field(ge=0, le=1e18)], ...], SOON]
    users: Annotated[tuple[ItemId, ...], SOON] = ()


class Catalogue:
    """The items with their indexes, counted from 1: index i is column i - 1 of the scores."""

    def __init__(self, items: Items) -> None:
        self.items = items
        self.popularity = np.asarray(items.popularity, np.float32)
        """Training baskets with each item, float32 [items]."""
        self.rank = np.empty(len(items.ids), np.int64)
        """The rank of each item among the most popular, int64 [items], from 1; a tie goes to the lower index."""
        self.rank[np.argsort(-self.popularity, kind="stable")] = np.arange(1, len(items.ids) + 1)
        self._index = {str(item): index for index, item in enumerate(items.ids, start=1)}
        self._user = {str(user): number for number, user in enumerate(items.users)}

    def look_up(self, ids: Sequence[ItemId]) -> tuple[Array, tuple[ItemId, ...]]:
        """The indexes of the known ids, int64 [known] in their order, and the unknown ids."""
        found = [self._index.get(str(item), 0) for item in ids]
        unknown = tuple(item for item, index in zip(ids, found, strict=True) if not index)
        return indexes_of([index for index in found if index]), unknown

    def user(self, user: object, field: str) -> int:
        """The number of a user by its external id; `InvalidInput` for one that was not in training."""
        (known,) = read_ids([user], field)
        if str(known) not in self._user:
            raise InvalidInput(
                field, user, f"one of the {len(self._user)} users that the model was trained on"
            )
        return self._user[str(known)]

    def describe(self, column: int) -> dict[str, Any]:
        """The id and the title of the item in a column of the scores."""
        return {"id": self.items.ids[column], "title": self.items.titles[column]}


def read_items(bundle: "Bundle", columns: int) -> Items:
    """The bundle's `items.json`, which must have as many items as the graph scores: `columns`."""
    items = bundle.read_document(Items, ITEMS_FILE)
    if {len(items.ids), len(items.titles), len(items.popularity)} != {columns}:
        raise ManifestInvalid(
            bundle.path,
            f"{ITEMS_FILE}: {len(items.ids)} ids, {len(items.titles)} titles and "
            f"{len(items.popularity)} counts, expected {columns} of each",
        )
    return items


def indexes_of(values: Sequence[int]) -> Array:
    return np.asarray(values, np.int64)


def read_ids(values: object, field: str) -> list[ItemId]:
    if not isinstance(values, list):
        raise InvalidInput(field, values, "a list of item ids")
    for place, value in enumerate(values):
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise InvalidInput(f"{field}[{place}]", value, "an id: a string or a whole number")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:  # which an answer repeats, in JSON
            raise InvalidInput(f"{field}[{place}]", value, "a whole number of 64 bits, or a string")
    return values


def catalogue_json(content: Mapping[str, Any]) -> bytes:
    """`items.json` for a bundle, checked."""
    return Items.model_validate(content).model_dump_json(indent=1).encode()
