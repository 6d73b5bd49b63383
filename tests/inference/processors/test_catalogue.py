"""The catalogue: external ids to indexes and back, ranks by popularity, and users by number."""

from pathlib import Path

import pytest

from inference.errors import InvalidInput, ManifestInvalid
from inference.processors.catalogue import Catalogue, Items, catalogue_json, read_ids, read_items
from inference.store.documents import read_document

ITEMS = Items(ids=("a", 7, "c"), titles=("A", "Seven", "C"), popularity=(2.0, 5.0, 2.0), users=("ann", 3))


class Folder:
    """Stands for a bundle with this `items.json`."""

    path = Path("models/shop/1")

    def __init__(self, content: bytes) -> None:
        self.content = content

    def read_document(self, kind: type[Items], name: str) -> Items:
        assert name == "items.json"
        return read_document(kind, self.content, self.path, name)


def test_known_ids_become_indexes_from_1_and_unknown_ones_are_kept_apart() -> None:
    known, unknown = Catalogue(ITEMS).look_up(["c", "x", "7", 7])
    assert (known.tolist(), known.dtype.str) == ([3, 2, 2], "<i8")
    assert unknown == ("x",)


def test_ranks_begin_with_the_most_popular_and_a_tie_goes_to_the_first() -> None:
    assert Catalogue(ITEMS).rank.tolist() == [2, 1, 3]


def test_a_column_is_described_by_id_and_title() -> None:
    assert Catalogue(ITEMS).describe(1) == {"id": 7, "title": "Seven"}


def test_users_are_numbered_in_their_order_and_others_refused() -> None:
    assert [Catalogue(ITEMS).user(user, "user") for user in ("ann", 3, "3")] == [0, 1, 1]
    with pytest.raises(InvalidInput, match="user: got bob, expected one of the 2 users"):
        Catalogue(ITEMS).user("bob", "user")


@pytest.mark.parametrize("value", [True, 1.5, None, [], 2**63])
def test_an_id_is_text_or_a_whole_number_of_64_bits(value: object) -> None:
    with pytest.raises(InvalidInput, match=r"history\[1\]"):
        read_ids(["a", value], "history")


def test_the_file_is_checked_when_it_is_written_and_when_it_is_read() -> None:
    content = catalogue_json(ITEMS.model_dump())
    assert read_items(Folder(content), 3) == ITEMS  # type: ignore[arg-type]
    with pytest.raises(ManifestInvalid, match="3 ids, 3 titles and 3 counts, expected 4 of each"):
        read_items(Folder(content), 4)  # type: ignore[arg-type]
    with pytest.raises(ManifestInvalid, match=r"items\.json"):
        read_items(Folder(b"{}"), 3)  # type: ignore[arg-type]
